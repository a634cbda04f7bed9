"""The past judged again: exact, added up exactly, page by page, and changing nothing but its own rows."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refund_plugin import clock
from refund_plugin.errors import InvalidInput
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.refunds.replay import reading, services
from refund_plugin.refunds.replay.models import ReplayChange, ReplayKind, ReplayRun, ReplayState
from refund_plugin.refunds.replay.queries import both_answers, changes_of, comparisons
from refund_plugin.refunds.replay.services import advance_run, cancel_replay, replay_due
from refund_plugin.rules import (
    DuplicatePurchase,
    FactRule,
    Goodwill,
    LineFacts,
    MoneyBack,
    NonRefundable,
    PolicyDocument,
    Selector,
    UnusedOnly,
    evaluate,
    register_fact,
    unregister_fact,
)
from refund_plugin.stores.models import Store
from tests.factories import COURSE, EBOOK, LICENCE, NOW, SALE, make_purchase
from tests.refunds.helpers import ask
from tests.refunds.replay.examples import KEY, LATER, SAME, draft, finish, replay, start, step
from tests.rules.building import ENGLISH

pytestmark = pytest.mark.django_db

ALL = (EBOOK, COURSE, SALE, LICENCE)


@pytest.fixture
def past(policy):
    """Ada asked for all that she bought, one thing at a time, Bob for what is on sale; Cleo asked for nothing."""
    bought = [ask(make_purchase(lines=[line])) for line in ALL]
    return [*bought, ask(make_purchase(lines=[SALE], email="bob@example.com")), make_purchase(lines=ALL, email="cleo@example.com")]


def about(run, kind=ReplayKind.REQUESTS):
    return next(found for found in comparisons(run) if found.kind == kind)


def test_the_policy_that_decided_changes_nothing(past):
    run = replay(SAME)
    for found in comparisons(run):
        assert (found.changed, found.changed_lines, found.unclear, found.denied) == (0, 0, 0, 0)
    assert (about(run).cases, about(run).lines) == (5, 5)
    assert (about(run, ReplayKind.PURCHASES).cases, about(run, ReplayKind.PURCHASES).lines) == (6, 6)
    assert not ReplayChange.objects.exists()
    [sums] = about(run).money
    assert sums.before == sums.after == Money(sum(Decision.objects.values_list("amount_minor", flat=True)), "EUR")


def test_a_stricter_draft_shows_what_it_would_have_denied_to_whom_and_how_much_less_goes_out(past):
    run = replay(draft())
    found = about(run)
    assert found.answers == {("approve", "decline"): 3, ("decline", "decline"): 2}
    assert (found.changed, found.denied) == (3, 1)
    [sums] = found.money
    assert (sums.before, sums.after) == (Money(1820 + 2987 + 2400, "EUR"), Money(0, "EUR"))
    assert (sums.less, sums.more) == (sums.before, Money(0, "EUR"))


def test_what_could_be_asked_for_now_is_judged_too(past):
    found = about(replay(draft()), ReplayKind.PURCHASES)
    assert found.answers == {("approve", "decline"): 3, ("decline", "decline"): 3}  # Cleo's, and Bob's on sale; Ada's too
    assert found.denied == 1


def test_a_more_generous_draft_shows_what_it_would_have_paid(past):
    [sums] = about(replay(draft(MoneyBack(anchor="all", window_days=60)))).money
    assert (sums.more, sums.less) == (Money(900 * 2, "EUR"), Money(0, "EUR"))


def test_the_same_answer_with_another_amount_is_a_change(past):
    run = replay(draft(NonRefundable(anchor="final", selector=Selector(tags=frozenset({"final-sale"})), reason="Final."), half()))
    found = about(run)
    assert (found.changed, found.changed_lines, found.amounts, found.denied) == (3, 3, 3, 0)
    [sums] = found.money
    assert (sums.less, sums.more) == (Money(910 + 1493 + 1200, "EUR"), Money(0, "EUR"))


def half():
    return MoneyBack(anchor="half", window_days=60, percent=50)


def test_what_would_wait_for_a_person_is_no_money_that_goes(past):
    found = about(replay(draft(Goodwill(anchor="goodwill"))))
    assert found.answers == {("approve", "review"): 3, ("decline", "review"): 2}
    [sums] = found.money
    assert (sums.after, sums.review_after) == (Money(0, "EUR"), Money(1820 + 2987 + 2400 + 2 * 900, "EUR"))
    assert found.denied == 0


def test_currencies_are_never_added(policy):
    ask(make_purchase(lines=[EBOOK]))
    ask(make_purchase(lines=[EBOOK], currency="JPY"))
    assert [(sums.before, sums.less) for sums in about(replay(draft())).money] == [
        (Money(1820, "EUR"), Money(1820, "EUR")),
        (Money(1820, "JPY"), Money(1820, "JPY")),
    ]


WINDOWS = st.lists(
    st.tuples(st.sampled_from(["back", "unused", "no", "goodwill"]), st.integers(1, 40), st.sampled_from(["", "ebook", "font", "course"])),
    min_size=1,
    max_size=5,
)


@given(WINDOWS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sums_add_up_whatever_the_draft(past, parts):
    run = replay(PolicyDocument(tuple(clause(number, *part) for number, part in enumerate(parts))))
    for found in comparisons(run):
        assert found.lines + found.unclear == sum(found.answers.values()) + found.unread
        for sums in found.money:
            assert sums.before.minor + sums.more.minor - sums.less.minor == sums.after.minor
    kept = ReplayChange.objects.filter(run=run)
    assert kept.count() == sum(found.changed_lines + found.unclear for found in comparisons(run))
    for found in comparisons(run):
        mine = kept.filter(kind=found.kind, denied=True)
        owners = {row.line.purchase.customer_id for row in mine.select_related("line__purchase")}
        assert found.denied == len(owners)
    run.delete()


def clause(number, kind, days, product_type):
    selector = Selector(product_types=frozenset({product_type} - {""}))
    anchor = f"c{number}"
    if kind == "back":
        return MoneyBack(anchor=anchor, window_days=days, selector=selector)
    if kind == "unused":
        return UnusedOnly(anchor=anchor, window_days=days, selector=selector)
    if kind == "no":
        return NonRefundable(anchor=anchor, reason="No.", selector=selector)
    return Goodwill(anchor=anchor, window_days=days, percent=50, selector=selector)


def test_every_changed_line_is_explained_twice(past):
    run = replay(draft())
    change = changes_of(run).get(kind=ReplayKind.REQUESTS, line__sku=EBOOK.sku)
    before, after = both_answers(change, ENGLISH)
    assert before.headline == "You can get 18.20 EUR back"
    assert after.headline == "This cannot be refunded"
    assert "3 days" in after.sentence


def test_a_fact_that_nobody_recorded_then_cannot_be_told(past):
    forget_recorded("earlier_purchase", "earlier_purchase_at")
    run = replay(draft(DuplicatePurchase(anchor="twice", within_days=30, window_days=30), *SAME.clauses))
    found = about(run)
    assert (found.unclear, found.changed, found.denied) == (5, 0, 0)
    assert found.money == []
    assert {change.after for change in changes_of(run).filter(kind=ReplayKind.REQUESTS)} == {"unclear"}


def forget_recorded(*names):
    """Make decisions as they were stored before these facts were gathered."""
    for decision in Decision.objects.all():
        facts = [{name: value for name, value in line.items() if name not in names} for line in decision.facts]
        Decision.objects.filter(pk=decision.pk).update(facts=facts)


def test_a_hosts_fact_that_was_recorded_decides_and_one_that_was_not_cannot_be_told(policy):
    strict = draft(MoneyBack(anchor="back", window_days=60, requires=(FactRule("parts_printed", "at_most", 2),)))
    ask(make_purchase(lines=[EBOOK]))
    register_fact("parts_printed", "Parts printed", source=lambda line: 3)
    try:
        ask(make_purchase(lines=[EBOOK]))
    finally:
        unregister_fact("parts_printed")
    assert about(replay(strict)).answers == {("approve", "unclear"): 1, ("approve", "decline"): 1}


def test_a_fact_that_was_asked_for_and_not_known_sends_the_line_to_a_person_as_it_would_have(policy):
    register_fact("parts_printed", "Parts printed", source=lambda line: None)
    try:
        ask(make_purchase(lines=[EBOOK]))
    finally:
        unregister_fact("parts_printed")
    strict = draft(MoneyBack(anchor="back", window_days=60, requires=(FactRule("parts_printed", "at_most", 2),)))
    assert about(replay(strict)).answers == {("approve", "review"): 1}


def test_facts_that_cannot_be_read_any_more_cannot_be_told(policy):
    ask(make_purchase(lines=[EBOOK]))
    stored = Decision.objects.get()
    Decision.objects.update(facts=[{**stored.facts[0], "written_by_a_newer_release": 1}])
    found = about(replay(draft()))
    assert (found.unclear, found.lines, found.denied) == (1, 0, 0)


def test_facts_written_as_text_are_read_as_well(policy):
    ask(make_purchase(lines=[EBOOK]))
    stored = Decision.objects.get()
    Decision.objects.update(facts=[json.dumps(stored.facts[0])], verdicts=[json.dumps(stored.verdicts[0])])
    assert about(replay(SAME)).changed == 0


def test_only_the_stores_own_past_within_the_period_is_read(past):
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    RefundRequest.objects.filter(purchase__lines__sku=EBOOK.sku).update(store=other)
    Decision.objects.filter(request__purchase__lines__sku=COURSE.sku).update(decided_at=NOW - timedelta(days=40))
    assert about(replay(draft(), days=30)).cases == 3


def test_what_a_person_decided_is_not_taken_for_the_engines_answer(policy):
    request = ask(make_purchase(lines=[SALE]), wants_person=True)
    Decision.objects.create(request=request, outcome="approved", currency="EUR", actor_kind="staff", decided_at=NOW)
    found = about(replay(SAME))
    assert (found.cases, found.changed) == (1, 0)


def test_a_replay_changes_nothing_but_its_own_rows(past):
    def state():
        return [list(model.objects.order_by("pk").values()) for model in (RefundRequest, Decision, Refund)]

    before = state()
    replay(draft())
    assert state() == before


# -- the law beside the policy --------------------------------------------------------------------------------------


@pytest.fixture
def german(policy):
    """Ada, in Germany, asked for what is on sale, not used, within 14 days: the law gives what the policy refuses."""
    purchase = make_purchase(lines=[SALE])
    Purchase.objects.filter(pk=purchase.pk).update(country="DE")
    return ask(purchase)


def test_what_the_law_gave_it_gives_beside_every_draft(german):
    assert german.decisions.get().verdicts[0]["floor"]
    assert about(replay(SAME)).answers == {("approve", "approve"): 1}
    run = replay(draft(NonRefundable(anchor="none", reason="No.")))
    assert (about(run).answers, about(run).denied) == ({("approve", "approve"): 1}, 0)


def test_a_decision_from_before_the_law_was_known_is_judged_without_it(german):
    stored = german.decisions.get()
    alone = evaluate(SAME, LineFacts.from_json(stored.facts[0]))
    Decision.objects.update(verdicts=[alone.as_json()])
    assert about(replay(SAME)).answers == {("decline", "decline"): 1}
    assert about(replay(draft(NonRefundable(anchor="none", reason="No.")))).answers == {("decline", "decline"): 1}
    assert about(replay(draft(MoneyBack(anchor="all", window_days=60)))).answers == {("decline", "approve"): 1}


def test_answers_that_the_law_gave_are_told_in_its_words(german):
    german.decisions.update(verdicts=[{**german.decisions.get().verdicts[0], "amount_minor": 800}])
    change = changes_of(replay(SAME)).get(kind=ReplayKind.REQUESTS)
    before, after = both_answers(change, ENGLISH)
    assert before is None  # a stored amount that nobody can explain is not explained
    assert "The law gives you more than this policy" in after.sentence


# -- in the background ----------------------------------------------------------------------------------------------


@pytest.fixture
def one_by_one(monkeypatch):
    """Pages of one request or purchase."""
    monkeypatch.setattr(reading, "REQUESTS_PER_PAGE", 1)
    monkeypatch.setattr(reading, "PURCHASES_PER_PAGE", 1)


def test_progress_only_grows_and_is_whole_at_the_end_alone(past, one_by_one):
    run, seen = start(draft()), []
    while run.state == ReplayState.RUNNING:
        seen.append(run.share_done)
        run = step(run)
    assert seen == sorted(seen)
    assert seen[0] == 0 and all(share < 1 for share in seen)
    assert (run.share_done, run.read, run.total) == (1, 11, 11)


def test_the_result_does_not_depend_on_where_the_pages_end(past, one_by_one):
    small = replay(draft())
    reading.REQUESTS_PER_PAGE = reading.PURCHASES_PER_PAGE = 100
    assert replay(draft(), key="again").counts == small.counts


@pytest.mark.parametrize(("clauses", "pages"), [(1, [2, 2]), (2, [1, 1]), (500, [1, 1])])
def test_a_page_ends_when_its_lines_and_the_drafts_clauses_are_work_enough(past, monkeypatch, clauses, pages):
    monkeypatch.setattr(reading, "TRACES_PER_PAGE", 2)
    document = PolicyDocument(tuple(MoneyBack(anchor=f"c{number}", window_days=number + 1) for number in range(clauses)))
    run = start(document)
    assert [reading.read_page(run, document).cases, reading.read_page(step(run), document).cases] == pages
    assert about(replay(document, key="again")).cases == 5


def test_a_worker_without_time_reads_one_page_and_gives_the_run_back(past, one_by_one):
    run = start(draft())
    assert advance_run(run.pk, now=LATER, deadline=0.0) == 1
    run.refresh_from_db()
    assert (run.read, run.lease_until) == (1, None)


def test_while_a_worker_holds_the_run_no_other_reads_it_and_when_it_was_killed_the_next_goes_on(past, one_by_one, monkeypatch):
    run = step(start(draft()))
    killed = RuntimeError("as if the power went")
    monkeypatch.setattr(services, "_note_failure", lambda *args, **kwargs: None)  # a killed process notes nothing
    monkeypatch.setattr(services, "read_page", lambda *args: (_ for _ in ()).throw(killed))
    advance_run(run.pk, now=LATER, deadline=0.0)
    monkeypatch.setattr(services, "read_page", reading.read_page)
    assert advance_run(run.pk, now=LATER, deadline=0.0) == 0
    with clock.travel(timedelta(seconds=services.LEASE_SECONDS + 1)):
        assert advance_run(run.pk, now=LATER, deadline=0.0) == 1
        finished = finish(ReplayRun.objects.get(pk=run.pk))
    assert finished.counts == replay(draft(), key="again").counts


def test_a_worker_that_lost_its_lease_writes_nothing(past, one_by_one, monkeypatch):
    run = start(draft())

    def slow(row, document):
        ReplayRun.objects.filter(pk=run.pk).update(lease_until=clock.database_now() + timedelta(hours=1))
        return reading.read_page(row, document)

    monkeypatch.setattr(services, "read_page", slow)
    assert advance_run(run.pk, now=LATER, deadline=0.0) == 0
    assert not ReplayChange.objects.exists()
    assert ReplayRun.objects.get().counts == {}


def test_a_stopped_run_goes_no_further_and_keeps_what_it_found(past, one_by_one):
    run = step(step(start(draft())))
    assert cancel_replay(run_id=run.pk, now=LATER)
    assert advance_run(run.pk, now=LATER, deadline=0.0) == 0
    run.refresh_from_db()
    assert (run.state, run.read) == (ReplayState.CANCELED, 2)
    assert about(run).cases == 2
    assert not cancel_replay(run_id=run.pk, now=LATER)


def test_a_run_stopped_while_its_page_is_read_takes_nothing_from_that_page(past, one_by_one, monkeypatch):
    run = start(draft())

    def read(row, document):
        cancel_replay(run_id=run.pk, now=LATER)
        return reading.read_page(row, document)

    monkeypatch.setattr(services, "read_page", read)
    advance_run(run.pk, now=LATER, deadline=0.0)
    run.refresh_from_db()
    assert (run.state, run.read) == (ReplayState.CANCELED, 0)


def test_a_run_that_keeps_failing_gives_up_and_the_sweep_goes_on(past, monkeypatch):
    run = start(draft())
    monkeypatch.setattr(services, "read_page", lambda *args: 1 / 0)
    for number in range(services.MAX_FAILURES + 1):
        with clock.travel(timedelta(minutes=number)):
            assert replay_due(LATER) == 0
    run.refresh_from_db()
    assert (run.state, run.failures, run.last_error) == (ReplayState.FAILED, services.MAX_FAILURES, "ZeroDivisionError")


def test_a_plugin_clause_that_fails_leaves_its_lines_untold(past, monkeypatch):
    monkeypatch.setattr(MoneyBack, "less", lambda *args: 1 / 0)
    found = about(replay(draft(MoneyBack(anchor="all", window_days=60))))
    assert (found.unclear, found.lines) == (5, 0)


def test_the_sweep_brings_a_run_to_its_end(past):
    run = start(draft())
    while replay_due(LATER):
        pass
    run.refresh_from_db()
    assert run.state == ReplayState.DONE


def test_a_worker_is_rung_for_as_long_as_there_is_more_to_read_and_no_longer(past, one_by_one, monkeypatch):
    rung = []
    monkeypatch.setattr(services.doorbell, "send", lambda *tasks: rung.append(tasks) or True)
    monkeypatch.setattr(services, "SLICE_SECONDS", 0.0)
    start(draft())
    assert [replay_due(LATER) for _page in range(14)] == [1] * 13 + [0]  # each kind ends with an empty page
    assert rung == [(services.REPLAY,)] * 12


def test_all_changes_are_counted_and_so_many_are_kept(past, monkeypatch):
    monkeypatch.setattr(reading, "MAX_KEPT", 2)
    run = replay(draft())
    assert about(run).changed_lines == 3
    assert (ReplayChange.objects.count(), run.counts["kept"]) == (2, 2)


# -- starting -------------------------------------------------------------------------------------------------------


def test_the_same_replay_under_way_is_joined_and_another_draft_takes_its_place(past):
    first = start(draft())
    assert start(draft()) == first
    second = start(SAME)
    first.refresh_from_db()
    assert (first.state, second.state) == (ReplayState.CANCELED, ReplayState.RUNNING)
    assert start(SAME, key="another") not in (first, second)


@pytest.mark.parametrize("days", [0, -1, 31, 10**6])
def test_other_periods_are_refused(policy, days):
    with pytest.raises(InvalidInput):
        start(draft(), days=days)
    assert not ReplayRun.objects.exists()


def test_a_draft_without_clauses_is_refused(policy):
    with pytest.raises(InvalidInput):
        start(PolicyDocument())
    assert not ReplayRun.objects.exists()


def test_replays_are_deleted_after_ninety_days_with_what_they_found(past):
    old = replay(draft())
    ReplayRun.objects.filter(pk=old.pk).update(started_at=LATER - timedelta(days=91))
    kept = replay(SAME)
    assert list(ReplayRun.objects.all()) == [kept]
    assert not ReplayChange.objects.exists()


def test_what_was_asked_after_the_start_is_not_read(past):
    run = start(draft(), now=NOW - timedelta(hours=1))
    assert about(finish(run)).cases == 0


# -- statements -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "expected"), [(ReplayKind.REQUESTS, 2), (ReplayKind.PURCHASES, 8)])
def test_a_page_costs_the_same_statements_however_many_rows(past, kind, expected):
    counts = []
    for _more in range(2):
        run = start(draft(), key=f"{KEY}{_more}")
        run.kind = kind
        with CaptureQueriesContext(connection) as captured:
            reading.read_page(run, draft())
        counts.append(len(captured))
        for number in range(3):
            ask(make_purchase(lines=[EBOOK, COURSE], email=f"{number}@example.com"))
    assert counts == [expected, expected]
