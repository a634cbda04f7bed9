"""Drafts that decide silently: they see every decision of the engine once, and change none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from refund_plugin import clock
from refund_plugin.actor import ENGINE
from refund_plugin.errors import InvalidInput
from refund_plugin.events.models import Delivery, DeliveryState, Event
from refund_plugin.events.services import deliver_due, record
from refund_plugin.money import Money
from refund_plugin.refunds import events
from refund_plugin.refunds.models import Decision
from refund_plugin.refunds.replay import shadow as shadows
from refund_plugin.refunds.replay.models import Shadow, ShadowVerdict
from refund_plugin.refunds.replay.queries import shadow_answers, shadow_comparison, verdicts_of
from refund_plugin.refunds.replay.shadow import start_shadow, stop_shadow
from refund_plugin.refunds.review import approve_request
from refund_plugin.rules import FactRule, Goodwill, MoneyBack, PolicyDocument
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store
from tests.factories import COURSE, EBOOK, NOW, SALE, make_purchase
from tests.refunds.helpers import CLERK, ask
from tests.refunds.replay.examples import KEY, SAME, draft
from tests.rules.building import ENGLISH

pytestmark = pytest.mark.django_db

BEFORE = NOW - timedelta(days=1)


def silent(document=None, *, days=14, now=BEFORE, key=KEY, store=None):
    return start_shadow(store=store or ensure_default_store(), policy_key=key, document=document or draft(), days=days, now=now)


def deliver():
    while deliver_due():
        pass


def test_every_decision_is_judged_by_the_silent_draft_once_it_was_made(policy):
    shadow = silent()
    request = ask(make_purchase(lines=[EBOOK, COURSE]))
    assert request.state == "approved"
    assert not ShadowVerdict.objects.exists()
    deliver()
    said = verdicts_of(shadow)
    assert {(row.line.sku, row.before, row.after, row.differs) for row in said} == {
        (EBOOK.sku, "approve", "decline", True),
        (COURSE.sku, "approve", "decline", True),
    }
    found = shadow_comparison(shadow)
    assert (found.cases, found.changed, found.denied, found.changed_lines) == (1, 1, 1, 2)
    [sums] = found.money
    assert (sums.before, sums.after, sums.less, sums.more) == tuple(Money(minor, "EUR") for minor in (4807, 0, 4807, 0))


def test_sums_of_silent_drafts_add_up_for_other_amounts_and_for_what_waits(policy):
    shadow = silent(draft(MoneyBack(anchor="half", window_days=60, percent=50)))
    person = silent(draft(Goodwill(anchor="goodwill")), key="another")
    ask(make_purchase(lines=[EBOOK]))
    ask(make_purchase(lines=[SALE]))
    deliver()
    found = shadow_comparison(shadow)
    [sums] = found.money
    assert (found.amounts, found.changed_lines) == (1, 2)
    assert (sums.before, sums.after, sums.more, sums.less) == tuple(Money(minor, "EUR") for minor in (1820, 910 + 450, 450, 910))
    [sums] = shadow_comparison(person).money
    assert (sums.after, sums.less, sums.review_after) == tuple(Money(minor, "EUR") for minor in (0, 1820, 1820 + 900))


def test_a_draft_that_is_the_policy_disagrees_with_nothing(policy):
    shadow = silent(SAME)
    ask(make_purchase(lines=[EBOOK, COURSE]))
    deliver()
    assert (shadow_comparison(shadow).lines, shadow_comparison(shadow).changed) == (2, 0)


def test_both_answers_are_told_in_words(policy):
    shadow = silent()
    ask(make_purchase(lines=[EBOOK]))
    deliver()
    said = verdicts_of(shadow).select_related("shadow", "decision__policy_version").get()
    before, after = shadow_answers(said, ENGLISH)
    assert (before.headline, after.headline) == ("You can get 18.20 EUR back", "This cannot be refunded")


def test_a_decision_asks_the_database_the_same_with_and_without_a_silent_draft(policy):
    ask(make_purchase(lines=[EBOOK]))  # fills the caches of the process
    counts = []
    for _turn in range(2):
        purchase = make_purchase(lines=[EBOOK])
        with CaptureQueriesContext(connection) as captured:
            ask(purchase)
        counts.append(len(captured))
        silent()
    assert counts[0] == counts[1]


def test_a_silent_draft_that_fails_harms_no_decision_and_no_other_follower(policy, monkeypatch):
    silent()
    monkeypatch.setattr(shadows, "load_document", lambda text: 1 / 0)
    request = ask(make_purchase(lines=[EBOOK]))
    deliver()
    assert request.state == "approved"
    states = dict(Delivery.objects.values_list("subscriber", "state"))
    assert states.pop(shadows.NAME) == DeliveryState.WAITING
    assert set(states.values()) <= {DeliveryState.DONE}
    assert not ShadowVerdict.objects.exists()


def test_what_is_told_twice_is_judged_once(policy):
    silent()
    ask(make_purchase(lines=[EBOOK]))
    deliver()
    shadows.on_event(Event.objects.get(kind=events.REQUEST_APPROVED))
    assert ShadowVerdict.objects.count() == 1


def test_only_what_the_engine_decides_is_judged(policy):
    silent()
    request = ask(make_purchase(lines=[SALE]), wants_person=True)
    approve_request(request_id=request.pk, by=CLERK, reason="Fine.", amounts={request.lines.get().line_id: 900}, now=NOW)
    deliver()
    assert ShadowVerdict.objects.get().decision == request.decisions.get(actor_kind=ENGINE.kind)


def test_events_without_a_decision_are_passed_over(policy):
    silent()
    request = ask(make_purchase(lines=[EBOOK]))
    deliver()
    record(events.request_event(events.REQUEST_APPROVED, request, ENGINE), now=NOW)
    deliver()
    assert ShadowVerdict.objects.count() == 1


@pytest.mark.parametrize("now", [BEFORE - timedelta(days=20), NOW + timedelta(minutes=1)])
def test_before_its_time_and_after_it_a_draft_says_nothing(policy, now):
    silent(now=now)
    ask(make_purchase(lines=[EBOOK]))
    deliver()
    assert not ShadowVerdict.objects.exists()


def test_a_stopped_draft_says_nothing_more_and_what_it_said_stays(policy):
    shadow = silent()
    ask(make_purchase(lines=[EBOOK]))
    deliver()
    assert stop_shadow(shadow_id=shadow.pk, now=NOW)
    assert not stop_shadow(shadow_id=shadow.pk, now=NOW)
    ask(make_purchase(lines=[EBOOK]), now=NOW + timedelta(minutes=1))
    deliver()
    assert ShadowVerdict.objects.count() == 1


def test_a_decision_made_before_the_stop_is_judged_though_it_is_heard_of_after(policy):
    shadow = silent()
    ask(make_purchase(lines=[EBOOK]))
    stop_shadow(shadow_id=shadow.pk, now=NOW + timedelta(seconds=1))
    deliver()
    assert ShadowVerdict.objects.count() == 1


def test_another_stores_decisions_are_not_judged(policy):
    silent(store=Store.objects.create(slug="other", name="Other", timezone="UTC"))
    ask(make_purchase(lines=[EBOOK]))
    deliver()
    assert not ShadowVerdict.objects.exists()


def test_a_fact_that_was_not_recorded_is_told_as_unknown_and_is_no_disagreement(policy):
    shadow = silent(draft(MoneyBack(anchor="back", window_days=60, requires=(FactRule("parts_printed", "at_most", 2),))))
    ask(make_purchase(lines=[EBOOK]))
    deliver()
    found = shadow_comparison(shadow)
    assert (found.unclear, found.changed, found.money) == (1, 0, [])


def test_one_draft_of_a_policy_is_silent_at_a_time(policy):
    first, second = silent(), silent(SAME)
    first.refresh_from_db()
    assert (first.stopped_at, second.stopped_at) == (BEFORE, None)
    with pytest.raises(IntegrityError):
        Shadow.objects.create(store=second.store, policy_key=KEY, document="", hash="", starts_at=BEFORE, ends_at=NOW)


@pytest.mark.parametrize(("document", "days"), [(draft(), 0), (draft(), 91), (PolicyDocument(), 14)])
def test_no_end_in_reach_or_no_clauses_are_refused(policy, document, days):
    with pytest.raises(InvalidInput):
        start_shadow(store=ensure_default_store(), policy_key=KEY, document=document, days=days, now=NOW)
    assert not Shadow.objects.exists()


def test_what_silent_drafts_said_is_deleted_after_ninety_days(policy):
    silent()
    ask(make_purchase(lines=[EBOOK]))
    deliver()
    kept = silent(SAME, now=clock.now() + timedelta(days=500))
    assert list(Shadow.objects.all()) == [kept]
    assert not ShadowVerdict.objects.exists()
    assert Decision.objects.count() == 1
