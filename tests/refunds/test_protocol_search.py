"""Every state that the protocol of one debt can reach is searched, and what the search found wrong once stays right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, RefundCommand
from refund_plugin.money import Money
from refund_plugin.refunds import absence, states
from refund_plugin.refunds.calls import call_gateway, drive_refunds
from refund_plugin.refunds.execute import Started, begin_attempts, claim_due, load_command
from refund_plugin.refunds.models import Alert, Refund
from refund_plugin.refunds.outcomes import Told, record_answer, record_answers
from refund_plugin.refunds.states import RefundEvent, RefundState
from tests.factories import NOW, make_purchase
from tests.faults import model_mutants as mutants
from tests.faults.model_protocol import Protocol
from tests.faults.model_space import search
from tests.refunds.helpers import ask, only_refund


@pytest.fixture
def request_(policy):
    return ask(make_purchase())


def begin() -> Started:
    [started] = begin_attempts(claim_due(batch=1))
    return started


def record(started: Started, answer: GatewayAnswer | None) -> None:
    record_answers([Told(started.refund_id, answer, started.call)], now=NOW)


MISSED = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer")


def late_command(request) -> RefundCommand:
    """Return the command of a call that has not arrived yet."""
    return load_command(only_refund(request).command)


def lost_and_listed_once(gateway) -> None:
    """A request that never arrived, whose key is too old, and one listing without it."""
    gateway.script("timeout_before_commit")
    drive_refunds()
    with clock.travel(timedelta(hours=21)):
        drive_refunds()


@pytest.mark.django_db
def test_an_answer_that_a_webhook_overtook_does_not_undo_the_failure_that_it_told(gateway, request_):
    gateway.script("pending")
    started = begin()
    answer = call_gateway(started)
    gateway.settle(answer.gateway_refund_id, AnswerKind.FAILED)
    record_answer(refund_id=started.refund_id, answer=gateway.retrieve(answer.gateway_refund_id), now=clock.now())
    record(started, answer)
    assert only_refund(request_).state == RefundState.FAILED


@pytest.mark.django_db
def test_a_no_to_a_replay_ends_a_refund_only_once_its_key_is_burnt(gateway, request_, monkeypatch):
    gateway.script("timeout_before_commit")
    drive_refunds()
    late = late_command(request_)
    no = GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="parameter_invalid", message="Not now.")
    with monkeypatch.context() as patched, clock.travel(timedelta(minutes=5)):
        patched.setattr(gateway, "burn", lambda command, captured: MISSED)
        patched.setattr(gateway, "refund", lambda command: no)  # which it does not keep
        drive_refunds()
    assert only_refund(request_).state == RefundState.UNKNOWN
    with clock.travel(timedelta(minutes=30)):
        drive_refunds()

    refund = only_refund(request_)
    assert (refund.state, refund.failure_code, refund.failure_message) == (RefundState.FAILED, "parameter_invalid", "Not now.")
    assert list(refund.attempts.values_list("purpose", flat=True)) == ["send", "replay", "burn", "burn"]
    assert gateway.refund(late).kind == AnswerKind.MAYBE_EXECUTED and not gateway.sent  # the request that arrives late cannot pay


@pytest.mark.django_db
def test_a_no_that_the_gateway_keeps_under_the_key_is_read_from_there(gateway, request_):
    gateway.script("timeout_before_commit")
    drive_refunds()
    gateway._ledger.payments[only_refund(request_).payment.gateway_payment_id].captured = Money(1, "EUR")
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()

    refund = only_refund(request_)
    assert (refund.state, refund.failure_code) == (RefundState.FAILED, "amount_too_large")
    assert list(refund.attempts.values_list("purpose", flat=True)) == ["send", "replay", "burn", "replay"]


NO = GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="charge_disputed")


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["key_not_burnt", "key_not_burnable"])
def test_a_no_to_a_key_that_can_never_be_burnt_stands_once_two_listings_do_not_have_it(gateway, request_, monkeypatch, code):
    gateway.script("timeout_before_commit")
    drive_refunds()
    monkeypatch.setattr(gateway, "refund", lambda command: NO)
    monkeypatch.setattr(gateway, "burn", lambda command, captured: GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code=code))
    for minutes in (5, 10, 21):
        with clock.travel(timedelta(minutes=minutes)):
            assert only_refund(request_).state == RefundState.UNKNOWN
            drive_refunds()

    refund = only_refund(request_)
    assert list(refund.attempts.values_list("purpose", flat=True)) == ["send", "replay", "burn", "list", "list", "burn"]
    assert (refund.state, refund.failure_code) == (RefundState.FAILED, "charge_disputed")
    assert not Refund.objects.filter(supersedes=refund).exists()


@pytest.mark.django_db
def test_what_was_paid_late_under_a_key_that_cannot_be_burnt_is_found(gateway, request_, monkeypatch):
    gateway.script("timeout_after_commit")
    drive_refunds()
    monkeypatch.setattr(gateway, "refund", lambda command: NO)
    not_burnt = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="key_not_burnt")
    monkeypatch.setattr(gateway, "burn", lambda command, captured: not_burnt)
    for minutes in (5, 10):
        with clock.travel(timedelta(minutes=minutes)):
            drive_refunds()

    assert only_refund(request_).state == RefundState.SUCCEEDED


@pytest.mark.django_db
@pytest.mark.parametrize("told_no", [True, False], ids=["while its key is burnt", "while it is sent again"])
def test_a_payment_that_the_gateway_does_not_know_ends_nothing_that_may_have_been_sent(gateway, request_, monkeypatch, told_no):
    """As when the key of another account was set for a while."""
    gateway.script("timeout_after_commit")
    drive_refunds()
    missing = {"code": "resource_missing", "message": "No such payment"}
    with monkeypatch.context() as patched, clock.travel(timedelta(minutes=5)):
        patched.setattr(gateway, "refund", lambda command: NO if told_no else GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, **missing))
        patched.setattr(gateway, "burn", lambda command, captured: GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, **missing))
        drive_refunds()
    assert only_refund(request_).state == RefundState.UNKNOWN
    assert "does not know the payment" in Alert.objects.get(kind="refund_contradiction").why

    with clock.travel(timedelta(hours=1)):
        drive_refunds()
    assert only_refund(request_).state == RefundState.SUCCEEDED and len(gateway.sent) == 1


@pytest.mark.django_db
def test_an_adapter_that_breaks_while_it_burns_a_key_ends_nothing(gateway, request_, monkeypatch):
    gateway.script("timeout_after_commit")
    drive_refunds()

    def break_down(command, captured):
        raise RuntimeError("a defect")

    monkeypatch.setattr(gateway, "refund", lambda command: NO)
    monkeypatch.setattr(gateway, "burn", break_down)
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()

    assert only_refund(request_).state == RefundState.UNKNOWN


@pytest.mark.django_db
def test_a_refund_that_was_paid_after_a_no_forgets_the_no(gateway, request_, monkeypatch):
    gateway.script("timeout_after_commit")
    drive_refunds()
    no = GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="insufficient_funds")
    with monkeypatch.context() as patched, clock.travel(timedelta(minutes=5)):
        patched.setattr(gateway, "refund", lambda command: no)
        patched.setattr(gateway, "burn", lambda command, captured: MISSED)
        drive_refunds()
    with clock.travel(timedelta(minutes=30)):
        drive_refunds()
    refund = only_refund(request_)
    assert (refund.state, refund.failure_code) == (RefundState.SUCCEEDED, "") and len(gateway.sent) == 1


@pytest.mark.django_db
def test_two_listings_of_yesterday_are_not_enough_to_burn_a_key(gateway, request_):
    lost_and_listed_once(gateway)
    with clock.travel(timedelta(hours=21, minutes=11)):
        started = begin()
        record(started, call_gateway(started))
        assert begin().call.purpose == "burn"
    with clock.travel(timedelta(hours=47)):
        assert begin().call.purpose == "list"


@pytest.mark.django_db
def test_a_listing_that_is_recorded_a_day_late_tells_of_the_day_it_was_read(gateway, request_):
    lost_and_listed_once(gateway)
    with clock.travel(timedelta(hours=21, minutes=11)):
        started = begin()
        absent = call_gateway(started)
    with clock.travel(timedelta(hours=47)):
        record(started, absent)
        assert begin().call.purpose == "list"


@pytest.mark.django_db
def test_a_key_that_the_gateway_may_forget_any_moment_is_not_replayed_although_it_is_known(gateway, request_):
    gateway.script("timeout_after_commit")
    drive_refunds()
    gateway.lag_listings(100 * 3600)
    for minutes in (0, 11, 12, 25):
        with clock.travel(timedelta(hours=23, minutes=minutes)):
            drive_refunds()
    refund = only_refund(request_)
    assert list(refund.attempts.values_list("purpose", flat=True)) == ["send", "list", "list", "burn", "list", "burn"]
    gateway.lag_listings(0)
    with clock.travel(timedelta(hours=24)):
        drive_refunds()
    refund.refresh_from_db()
    assert refund.state == RefundState.SUCCEEDED
    assert len(gateway.sent) == 1


@pytest.mark.django_db
def test_an_error_that_is_kept_under_the_key_and_two_listings_after_it_prove_absence(gateway, request_):
    gateway.script("stored_error")
    for minutes in (0, 1, 2, 13, 14):
        with clock.travel(timedelta(minutes=minutes)):
            drive_refunds()
    absent = Refund.objects.get(request=request_, supersedes=None)
    assert list(absent.attempts.values_list("purpose", flat=True)) == ["send", "replay", "list", "list"]
    assert absent.failure_code == "absent"
    assert absent.successor.state == RefundState.SUCCEEDED
    assert len(gateway.sent) == 1


@pytest.mark.django_db
def test_a_refund_that_was_paid_before_its_error_was_kept_is_found_and_not_paid_again(gateway, request_):
    gateway.script("stored_error_after_commit")
    for minutes in (0, 1, 2):
        with clock.travel(timedelta(minutes=minutes)):
            drive_refunds()
    assert only_refund(request_).state == RefundState.SUCCEEDED
    assert len(gateway.sent) == 1


def test_nothing_that_the_protocol_can_reach_with_one_fault_is_wrong():
    found = search(Protocol(), faults=1)  # `make faults` searches with three
    assert found.violation is None, found.violation
    assert found.states > 10_000


@pytest.mark.parametrize(
    ("mutant", "what"),
    [
        (mutants.ResendsBlindly, "one refund became two at the gateway"),
        (mutants.TakesSilenceForFailure, "one debt was paid twice"),
        (mutants.TakesEveryNoForTheEnd, "one debt was paid twice"),
        (mutants.NeverBurns, "one debt was paid twice"),
        (mutants.BurnsOnOldListings, "one debt was paid twice"),
        (mutants.BelievesOldNews, "a failure that was known was undone by what was told before it"),
    ],
)
def test_an_error_that_is_planted_in_the_protocol_is_found(mutant, what):
    violation = search(mutant(), faults=1).violation
    assert violation is not None
    assert violation.what == what
    assert len(violation.steps) > 3


@pytest.mark.parametrize(
    ("event", "after"),
    [(RefundEvent.MAYBE_EXECUTED, RefundState.FAILED), (RefundEvent.CLAIMED, RefundState.PROCESSING), (RefundEvent.SUCCEEDED, None)],
)
def test_an_error_that_is_planted_in_the_table_of_transitions_is_found(monkeypatch, event, after):
    """Of an unknown refund: called failed, taken for one that was not sent, or never told what became of it."""
    if after is None:
        monkeypatch.delitem(states.REFUND_TRANSITIONS, (RefundState.UNKNOWN, event))
    else:
        monkeypatch.setitem(states.REFUND_TRANSITIONS, (RefundState.UNKNOWN, event), after)
    assert search(Protocol(), faults=1).violation is not None


def test_an_error_that_is_planted_in_the_rule_for_absence_is_found(monkeypatch):
    monkeypatch.setattr(absence, "FRESH", timedelta(days=9))
    assert search(Protocol(), faults=1).violation is not None
