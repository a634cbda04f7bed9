"""What the policy approves moves money by itself only within the dial, the pause, the limit and the ceilings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail

from refund_plugin import clock
from refund_plugin.actor import SYSTEM, Action, Actor, ActorKind
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, Required, WrongState
from refund_plugin.events.models import Event
from refund_plugin.events.services import deliver_due
from refund_plugin.refunds.brake import services as brake_services
from refund_plugin.refunds.brake.models import AutomaticMoney, BrakeReason
from refund_plugin.refunds.brake.queries import agreement, held_back, pauses
from refund_plugin.refunds.brake.services import LONGEST_PAUSE, brake_of, pause_automatic, resume_automatic, set_automatic
from refund_plugin.refunds.brake.windows import Ceiling, Per
from refund_plugin.refunds.models import Alert, Decision, Refund
from refund_plugin.refunds.review import approve_request, decline_request
from refund_plugin.refunds.states import RequestState
from refund_plugin.stores.services import ensure_default_store
from tests.factories import COURSE, EBOOK, LICENCE, SALE, make_purchase
from tests.refunds.helpers import CLERK, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("policy")]


@pytest.fixture
def store(policy):
    return ensure_default_store()


def set_to(store, *ceilings, mode="automatic", **limits):
    return set_automatic(store=store, mode=mode, limit_minor=limits, ceilings=ceilings, by=SYSTEM, now=clock.now())


def hour(amount_minor, sku=""):
    return Ceiling("EUR", Per.HOUR, amount_minor, sku)


def day(amount_minor, sku=""):
    return Ceiling("EUR", Per.DAY, amount_minor, sku)


def asked(*lines, **options):
    """Ask for everything of a new purchase; return (the request's state, why the brake held it back)."""
    request = ask(make_purchase(lines=lines or [EBOOK]), **options)
    return request.state, request.decisions.get().brake


APPROVED = (RequestState.APPROVED, "")


def held(reason):
    return (RequestState.IN_REVIEW, reason.value)


# ---- ceilings


def test_what_fits_exactly_is_automatic_and_one_unit_more_is_not(store):
    set_to(store, hour(2 * 1820))
    assert [asked(), asked(), asked()] == [APPROVED, APPROVED, held(BrakeReason.HOUR)]
    assert Refund.objects.count() == 2


def test_a_smaller_request_that_still_fits_is_not_held_back_by_a_larger_one(store):
    set_to(store, hour(2000))
    assert [asked(COURSE), asked(EBOOK)] == [held(BrakeReason.HOUR), APPROVED]


def test_the_ceiling_comes_free_again_when_the_window_has_passed(store):
    set_to(store, hour(1820), day(2 * 1820))
    assert [asked(), asked()] == [APPROVED, held(BrakeReason.HOUR)]
    with clock.travel(timedelta(minutes=54)):
        assert asked() == held(BrakeReason.HOUR)
    with clock.travel(timedelta(minutes=66)):
        assert [asked(), asked()] == [APPROVED, held(BrakeReason.HOUR)]
    with clock.travel(timedelta(minutes=132)):
        assert asked() == held(BrakeReason.DAY)
    with clock.travel(timedelta(hours=27)):
        assert asked() == APPROVED


def test_a_product_with_its_own_ceiling_is_held_back_alone(store):
    set_to(store, hour(1820, "EBOOK-1"))
    assert [asked(EBOOK), asked(EBOOK), asked(COURSE)] == [APPROVED, held(BrakeReason.HOUR), APPROVED]
    assert asked(EBOOK, COURSE) == held(BrakeReason.HOUR)


def test_currencies_are_counted_apart(store):
    set_to(store, hour(0))
    assert asked() == held(BrakeReason.HOUR)
    assert ask(make_purchase(currency="USD")).state == RequestState.APPROVED


def test_a_store_that_set_nothing_has_a_ceiling_all_the_same(store, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "BRAKE": {"hour": {"EUR": 1820}}}
    assert [asked(), asked()] == [APPROVED, held(BrakeReason.HOUR)]


def test_settings_without_ceilings_hold_nothing_back_and_count_nothing(store, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "BRAKE": {"hour": {"*": None}, "day": {"*": None}}}
    assert asked() == APPROVED
    assert AutomaticMoney.objects.get().spent == {}


def test_what_people_approve_is_neither_held_back_nor_counted(store):
    set_to(store, hour(1820))
    assert [asked(), asked()] == [APPROVED, held(BrakeReason.HOUR)]
    waiting = Decision.objects.get(brake=BrakeReason.HOUR).request
    approve_request(request_id=waiting.pk, by=CLERK, reason="The policy says so.", now=clock.now())
    assert Refund.objects.count() == 2
    assert held_back(store.pk) == 0


def test_the_verdict_of_a_request_that_is_held_back_stays_and_is_suggested(store):
    set_to(store, hour(0))
    request = ask(make_purchase(lines=[EBOOK]))
    decision = request.decisions.get()
    assert [verdict["outcome"] for verdict in decision.verdicts] == ["approve"]
    assert (decision.outcome, decision.amount_minor) == ("review", 0)
    approve_request(request_id=request.pk, by=CLERK, reason="Fine.", now=clock.now())
    assert (Refund.objects.get().amount_minor, request.decisions.last().is_override) == (1820, False)


def test_a_request_that_is_held_back_is_acknowledged_like_any_other(store):
    set_to(store, hour(0))
    request = ask(make_purchase())
    deliver_due()
    assert any(request.reference in message.subject + message.body for message in mail.outbox)


def test_a_reached_ceiling_raises_one_alert_in_its_window_whatever_people_do_with_it(store):
    set_to(store, hour(0))
    asked(), asked()
    alert = Alert.objects.get(kind="brake")
    assert (alert.store_id, alert.details["amount_minor"]) == (store.pk, 0)
    Alert.objects.update(looked_at=clock.now())
    asked()
    assert Alert.objects.filter(kind="brake").count() == 1
    with clock.travel(timedelta(minutes=61)):
        asked()
    assert Alert.objects.filter(kind="brake").count() == 2


def test_what_the_policy_declines_or_leaves_to_a_person_takes_nothing_from_the_ceiling(store):
    assert asked(SALE) == (RequestState.DECLINED, "")
    assert asked(SALE, wants_person=True) == (RequestState.IN_REVIEW, "")
    assert brake_of(store).spent == {}


def test_a_request_that_fails_gives_its_share_back(store, monkeypatch):
    set_to(store, hour(1820))

    def fail(*args, **kwargs):
        raise RuntimeError

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr("refund_plugin.refunds.services.do_send", fail)
        asked()
    assert asked() == APPROVED


def test_whoever_decided_by_an_older_state_of_the_row_reads_it_again(store):
    set_to(store, hour(1820))
    stale = AutomaticMoney.objects.get(store=store)
    asked()
    arguments = {"currency": "EUR", "amounts": {"EBOOK-1": 1820}, "at": clock.database_now(), "now": clock.now()}
    assert brake_services.take(brake=stale, **arguments) == BrakeReason.HOUR


# ---- the dial


@pytest.mark.parametrize("mode", ["observe", "suggest"])
def test_unless_the_dial_is_on_automatic_a_person_decides_every_request_and_the_verdict_is_kept(store, mode):
    set_to(store, mode=mode)
    assert [asked(EBOOK), asked(SALE)] == [(RequestState.IN_REVIEW, mode)] * 2
    assert [decision.verdicts[0]["outcome"] for decision in Decision.objects.order_by("id")] == ["approve", "decline"]
    assert not Refund.objects.exists()


def test_what_the_policy_leaves_to_a_person_is_not_put_down_to_the_dial(store):
    set_to(store, mode="observe")
    assert asked(SALE, wants_person=True) == (RequestState.IN_REVIEW, "")
    assert held_back(store.pk) == 0


def test_more_than_the_limit_of_one_request_waits_for_a_person(store):
    set_to(store, EUR=1820)
    assert [asked(EBOOK), asked(LICENCE)] == [APPROVED, held(BrakeReason.OVER_LIMIT)]
    assert ask(make_purchase(lines=[LICENCE], currency="USD")).state == RequestState.APPROVED


def test_a_new_store_begins_with_the_mode_of_the_settings(store, settings):
    AutomaticMoney.objects.all().delete()
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "BRAKE": {"mode": "suggest"}}
    assert asked() == held(BrakeReason.SUGGEST)


def test_people_and_policy_are_compared_while_it_only_watches(store):
    set_to(store, mode="observe")
    same, less, declined = (ask(make_purchase()) for _n in range(3))
    approve_request(request_id=same.pk, by=CLERK, reason="Fine.", now=clock.now())
    approve_request(request_id=less.pk, by=CLERK, reason="Half.", amounts={less.lines.get().line_id: 910}, now=clock.now())
    decline_request(request_id=declined.pk, by=CLERK, reason="No.", now=clock.now())
    found = agreement(store.pk, since=clock.now() - timedelta(days=1))
    assert (found.same, found.decided) == (1, 3)


def test_a_change_of_the_dial_is_recorded_with_what_was_before(store):
    set_to(store)
    set_to(store, hour(500), EUR=900)
    set_to(store, hour(500), EUR=900)
    (event,) = Event.objects.filter(kind="automatic_changed")
    assert event.payload["before"] == {"mode": "automatic", "limit_minor": {}, "ceilings": []}
    assert event.payload["after"]["ceilings"] == [hour(500).as_json()]


def test_two_ceilings_for_the_same_and_amounts_below_zero_are_refused(store):
    for ceilings in ([hour(5), hour(6)], [hour(-1)]):
        with pytest.raises(InvalidInput):
            set_to(store, *ceilings)
    with pytest.raises(InvalidInput):
        set_to(store, mode="always")
    assert brake_of(store).revision == 0


# ---- the pause


def pause(store, *, hours=2, by=CLERK, why="The new clause is wrong.", now=None):
    now = now or clock.now()
    return pause_automatic(store=store, until=now + timedelta(hours=hours), by=by, why=why, now=now)


def test_while_paused_people_decide_and_customers_are_still_answered(store):
    pause(store)
    assert asked() == held(BrakeReason.PAUSED)
    assert asked(SALE) == (RequestState.DECLINED, "")


def test_a_pause_tells_who_why_and_until_when_and_ends_by_itself(store):
    before = pause(store)
    (row,) = pauses(clock.database_now())
    assert (row.paused_by_label, row.paused_why, row.paused_until) == ("Clara Clerk", "The new clause is wrong.", before.paused_until)
    with clock.travel(timedelta(hours=2, minutes=1)):
        assert pauses(clock.database_now()) == []
        assert asked() == APPROVED


def test_resuming_lets_the_policy_decide_again_and_is_recorded(store):
    pause(store)
    resume_automatic(store=store, by=CLERK, now=clock.now())
    assert asked() == APPROVED
    assert list(Event.objects.filter(kind__startswith="automatic_").values_list("kind", "actor_id")) == [
        ("automatic_paused", "clerk"),
        ("automatic_resumed", "clerk"),
    ]
    with pytest.raises(WrongState):
        resume_automatic(store=store, by=CLERK, now=clock.now())


@pytest.mark.parametrize("until", [timedelta(0), timedelta(hours=-1), LONGEST_PAUSE + timedelta(seconds=1)])
def test_a_pause_ends_in_the_future_and_is_never_forgotten(store, until):
    now = clock.now()
    with pytest.raises(InvalidInput):
        pause_automatic(store=store, until=now + until, by=CLERK, why="Why.", now=now)


def test_a_pause_needs_a_reason(store):
    with pytest.raises(Required):
        pause(store, why=" ")


def test_only_who_may_handles_the_brake_and_a_refusal_changes_nothing(store):
    now = clock.now()
    without = Actor(kind=ActorKind.STAFF, id="x", actions=frozenset(Action) - {Action.MANAGE_BRAKE})
    elsewhere = Actor(kind=ActorKind.STAFF, id="y", actions=frozenset(Action), store_id=store.pk + 1)
    for actor, error in ((without, NotAllowed), (elsewhere, NotFound)):
        for attempt in (
            lambda by: pause(store, by=by),
            lambda by: resume_automatic(store=store, by=by, now=now),
            lambda by: set_automatic(store=store, mode="observe", limit_minor={}, ceilings=[], by=by, now=now),
        ):
            with pytest.raises(error):
                attempt(actor)
    assert AutomaticMoney.objects.get(store=store).revision == 0
