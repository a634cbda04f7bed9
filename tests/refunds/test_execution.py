"""Sending: one key for life, a lost answer is unknown and never failed, claims are leases with a fence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import monotonic

import pytest
from django.db import connection, connections, transaction

from refund_plugin import clock
from refund_plugin.errors import GatewayInTransaction, WrongState
from refund_plugin.events.models import Event
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.limiter import take_slots
from refund_plugin.gateways.models import GatewayAccount, SlotKind
from refund_plugin.gateways.services import default_account, ping_accounts
from refund_plugin.money import Money
from refund_plugin.refunds import execute
from refund_plugin.refunds.alerts import look_at
from refund_plugin.refunds.calls import call_gateway, drive_refunds
from refund_plugin.refunds.execute import Claim, Started, begin_attempts, claim_due, load_command
from refund_plugin.refunds.models import Alert, Attempt, Refund, WaitsFor
from refund_plugin.refunds.outcomes import Call, Told, record_answer, record_answers
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.states import RefundState
from refund_plugin.refunds.sweep import sweep_once
from refund_plugin.refunds.timeline import settlement_of
from tests.factories import BOUGHT, EBOOK, LICENCE, NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, balances, only_refund

pytestmark = pytest.mark.django_db


def kinds(request) -> list[str]:
    return list(Event.objects.filter(case=request.pk).values_list("kind", flat=True))


def begin(claim: Claim) -> Started:
    [started] = begin_attempts([claim])
    return started


def _replay_of(refund: Refund, gateway) -> Started:
    call = Call(attempt_id=0, fence=0, purpose="send")
    return Started(refund.pk, call, gateway, load_command(refund.command), refund.amount, "")


def test_what_a_gateway_does_not_note_is_not_frozen_and_what_was_frozen_before_can_be_sent(gateway, policy):
    request = ask(make_purchase())
    begin(claim_due(batch=10)[0])
    frozen = Refund.objects.get(request=request).command
    assert "lines" not in frozen
    assert load_command(frozen).lines == ()


@pytest.fixture
def purchase(policy):
    return make_purchase()


@pytest.fixture
def request_(purchase):
    return ask(purchase)


def test_a_reserved_refund_is_sent_once_and_settles(gateway, purchase, request_):
    assert drive_refunds() == 1
    refund = only_refund(request_)
    assert refund.state == RefundState.SUCCEEDED
    assert refund.gateway_refund_id
    assert balances(purchase) == ([(0, 1820)], [(0, 1820)])
    assert [command.idempotency_key for command in gateway.sent] == [refund.idempotency_key]
    assert drive_refunds() == 0


def test_what_is_sent_carries_our_id_and_the_installation(gateway, request_):
    drive_refunds()
    metadata = gateway.sent[0].metadata
    told = {"reference": request_.reference, "reason": request_.reason, "installation": "default"}
    assert metadata == {"refund_id": str(only_refund(request_).pk), **told}


@pytest.mark.parametrize("misbehaviour", ["timeout_before_commit", "timeout_after_commit"])
def test_a_lost_answer_leaves_the_refund_unknown_and_the_next_attempt_sends_the_same_key(gateway, purchase, request_, misbehaviour):
    gateway.script(misbehaviour)
    drive_refunds()
    refund = only_refund(request_)
    assert refund.state == RefundState.UNKNOWN
    assert balances(purchase) == ([(1820, 0)], [(1820, 0)])
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()
    refund.refresh_from_db()
    assert refund.state == RefundState.SUCCEEDED
    assert len(gateway.sent) == 1
    assert list(refund.attempts.values_list("purpose", flat=True)) == ["send", "replay"]


def test_a_key_the_gateway_may_have_forgotten_is_looked_up_and_never_sent_again(gateway, request_):
    gateway.script("timeout_after_commit")
    drive_refunds()
    with clock.travel(timedelta(hours=21)):
        drive_refunds()
    refund = only_refund(request_)
    assert refund.state == RefundState.SUCCEEDED
    assert refund.attempts.last().purpose == "list"
    assert len(gateway.sent) == 1


def test_one_listing_without_it_proves_nothing(gateway, purchase, request_):
    gateway.script("timeout_before_commit")
    drive_refunds()
    with clock.travel(timedelta(hours=21)):
        drive_refunds()
        assert drive_refunds() == 0
    assert only_refund(request_).state == RefundState.UNKNOWN
    assert gateway.sent == []
    assert balances(purchase) == ([(1820, 0)], [(1820, 0)])


def test_two_listings_and_a_burnt_key_prove_absence_and_a_successor_pays(gateway, purchase, request_):
    gateway.script("timeout_before_commit")
    drive_refunds()
    for minutes in (0, 11):
        with clock.travel(timedelta(hours=21, minutes=minutes)):
            drive_refunds()
    absent = Refund.objects.get(request=request_, supersedes=None)
    assert (absent.state, absent.failure_code, absent.owed) == (RefundState.FAILED, "absent", False)
    assert list(absent.attempts.values_list("purpose", flat=True)) == ["send", "list", "list", "burn"]
    assert absent.successor.state == RefundState.SUCCEEDED
    assert [command.idempotency_key for command in gateway.sent] == [absent.successor.idempotency_key]
    assert balances(purchase) == ([(0, 1820)], [(0, 1820)])
    with clock.travel(timedelta(hours=22)):
        late = call_gateway(_replay_of(absent, gateway))
    assert late.kind == AnswerKind.MAYBE_EXECUTED  # the sender that wakes up late cannot pay
    assert len(gateway.sent) == 1


def test_a_refund_that_a_lagging_listing_hides_is_found_by_asking_its_key(gateway, purchase, request_):
    gateway.script("timeout_after_commit")
    drive_refunds()
    gateway.lag_listings(100 * 3600)
    for minutes in (0, 11):
        with clock.travel(timedelta(hours=21, minutes=minutes)):
            drive_refunds()
    refund = only_refund(request_)
    assert refund.state == RefundState.SUCCEEDED
    assert list(refund.attempts.values_list("purpose", flat=True)) == ["send", "list", "list", "burn", "replay"]
    assert len(gateway.sent) == 1


def test_after_a_restore_a_refund_is_looked_for_before_it_is_sent(gateway, request_):
    Refund.objects.update(list_first=True)
    drive_refunds()
    refund = only_refund(request_)
    assert refund.state == RefundState.SUCCEEDED
    assert list(refund.attempts.values_list("purpose", flat=True)) == ["list", "send"]


def test_a_reserved_refund_older_than_a_keys_life_is_looked_for_before_it_is_sent(gateway, request_):
    with clock.travel(timedelta(days=400)):
        drive_refunds()
    assert list(only_refund(request_).attempts.values_list("purpose", flat=True)) == ["list", "send"]


def test_a_refused_connection_keeps_the_refund_reserved(gateway, request_):
    gateway.script("refused_connection")
    drive_refunds()
    assert only_refund(request_).state == RefundState.RESERVED
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()
    assert only_refund(request_).state == RefundState.SUCCEEDED


def test_too_many_requests_never_ends_a_refund(gateway, request_):
    gateway.script(*["rate_limited"] * 5)
    for minute in range(6):
        with clock.travel(timedelta(minutes=minute * 20)):
            drive_refunds()
    assert only_refund(request_).state == RefundState.SUCCEEDED


def test_a_refused_connection_after_a_lost_answer_stays_unknown(gateway, request_):
    gateway.script("timeout_after_commit", "refused_connection")
    drive_refunds()
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()
    assert only_refund(request_).state == RefundState.UNKNOWN


def test_a_wrong_gateway_key_holds_the_account_until_it_answers_again(gateway, request_):
    gateway.script("bad_key")
    drive_refunds()
    assert only_refund(request_).state == RefundState.RESERVED
    assert GatewayAccount.objects.get(slug="main").on_hold
    with clock.travel(timedelta(hours=1)):
        assert drive_refunds() == 0
        ping_accounts()
        assert drive_refunds() == 1
    assert only_refund(request_).state == RefundState.SUCCEEDED


def test_an_account_missing_from_the_settings_is_held_and_the_refund_kept(gateway, request_, settings):
    settings.REFUND_PLUGIN = {"GATEWAYS": {}}
    assert drive_refunds() == 0
    assert GatewayAccount.objects.get(slug="main").on_hold
    assert only_refund(request_).state == RefundState.RESERVED


def test_a_definitive_no_ends_the_refund_and_frees_the_money(gateway, policy):
    purchase = make_purchase(captured=False)
    request = ask(purchase)
    drive_refunds()
    refund = only_refund(request)
    assert (refund.state, refund.failure_code) == (RefundState.FAILED, "resource_missing")
    assert balances(purchase) == ([(0, 0)], [(0, 0)])
    assert settlement_of([refund]) == "needs_person"


def test_trying_again_is_a_successor_with_a_key_of_its_own(gateway, policy):
    purchase = make_purchase(captured=False)
    request = ask(purchase)
    drive_refunds()
    failed = only_refund(request)
    gateway.add_payment(failed.payment.gateway_payment_id, failed.amount)
    successor = retry_refund(refund_id=failed.pk, by=CLERK, reason="payment was missing", now=NOW)
    assert successor.idempotency_key != failed.idempotency_key
    with pytest.raises(WrongState):
        retry_refund(refund_id=failed.pk, by=CLERK, reason="again", now=NOW)
    drive_refunds()
    assert balances(purchase) == ([(0, 1820)], [(0, 1820)])
    assert settlement_of(list(request.refunds.all())) == "complete"


def test_a_pending_refund_is_asked_about_until_it_settles(gateway, request_):
    gateway.script("pending")
    drive_refunds()
    refund = only_refund(request_)
    assert refund.state == RefundState.PENDING
    gateway.settle(refund.gateway_refund_id, AnswerKind.SUCCEEDED)
    with clock.travel(timedelta(hours=1)):
        drive_refunds()
    refund.refresh_from_db()
    assert refund.state == RefundState.SUCCEEDED
    assert refund.attempts.last().purpose == "retrieve"
    assert len(gateway.sent) == 1


def test_a_worker_that_dies_after_its_call_leaves_an_unknown_refund_that_is_paid_once(gateway, request_):
    [claim] = claim_due(batch=10)
    call_gateway(begin(claim))  # the answer dies with the worker
    assert claim_due(batch=10) == []
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()
    assert only_refund(request_).state == RefundState.SUCCEEDED
    assert len(gateway.sent) == 1
    assert "refund_unknown" in kinds(request_)


def test_a_worker_that_dies_before_its_call_leaves_a_refund_that_was_surely_not_sent(gateway, request_):
    claim_due(batch=10)
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()
    assert only_refund(request_).state == RefundState.SUCCEEDED
    assert "refund_unknown" not in kinds(request_)


def test_a_worker_that_wakes_late_may_not_call(gateway, request_):
    [late] = claim_due(batch=10)
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()
    assert begin_attempts([late]) == []
    assert len(gateway.sent) == 1


def test_a_late_workers_fact_is_recorded_and_its_silence_is_not(gateway, request_):
    [late] = claim_due(batch=10)
    call, refund = begin(late).call, only_refund(request_)
    with clock.travel(timedelta(minutes=5)):
        [newer] = claim_due(batch=10)
        assert newer.fence > late.fence
        record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO), call=call, now=NOW)
        assert only_refund(request_).state == RefundState.UNKNOWN
        fact = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=refund.amount)
        record_answer(refund_id=refund.pk, answer=fact, call=call, now=NOW)
    assert only_refund(request_).state == RefundState.SUCCEEDED


def test_one_payment_has_one_call_in_flight_at_a_time(gateway, policy):
    purchase = make_purchase(lines=[LICENCE])
    line = purchase.lines.get()
    ask(purchase, {line: 1})
    ask(purchase, {line: 1})
    first, second = claim_due(batch=10)
    assert [started.refund_id for started in begin_attempts([first, second])] == [first.refund_id]
    assert Attempt.objects.filter(ended_at__isnull=True).count() == 1
    assert Refund.objects.get(pk=second.refund_id).state == RefundState.RESERVED


def test_the_refunds_of_one_payment_go_one_after_the_other_without_a_pause(gateway, policy):
    purchase = make_purchase(lines=[LICENCE])
    line = purchase.lines.get()
    requests = [ask(purchase, {line: 1}) for _number in range(line.quantity_left)]
    assert len(requests) > 1
    assert drive_refunds() == len(requests)
    assert {only_refund(request).state for request in requests} == {RefundState.SUCCEEDED}


def test_what_is_stopped_is_given_back_in_the_statement_that_stops_it(gateway, request_, purchase, monkeypatch):
    claims = claim_due(batch=1)
    purchase.payments.update(over_minor=1)
    monkeypatch.setattr(execute, "give_back", lambda claims, *, seconds: None)  # the worker is killed before
    assert begin_attempts(claims) == []
    refund = only_refund(request_)
    assert (refund.state, refund.lease_until, refund.waits_for) == (RefundState.RESERVED, None, WaitsFor.PERSON)


def test_a_listing_that_fails_before_the_first_sending_leaves_it_unsent(gateway, request_):
    Refund.objects.update(list_first=True)
    gateway.break_listings()
    drive_refunds()
    refund = only_refund(request_)
    assert (refund.state, refund.maybe_executed) == (RefundState.RESERVED, False)
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()
    assert only_refund(request_).state == RefundState.SUCCEEDED


def test_an_answer_that_contradicts_what_was_asked_leaves_a_refund_that_may_have_been_executed(gateway, request_):
    [started] = begin_attempts(claim_due(batch=1))
    wrong = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=only_refund(request_).amount + Money(1, "EUR"))
    record_answer(refund_id=started.refund_id, answer=wrong, call=started.call, now=NOW)
    refund = only_refund(request_)
    assert (refund.state, refund.maybe_executed) == (RefundState.UNKNOWN, True)
    assert "18.21" in refund.needs_person


def test_a_gateway_that_keeps_to_its_contradiction_is_asked_hourly_and_told_of_once(gateway, request_, monkeypatch):
    gateway.script("timeout_after_commit")
    drive_refunds()
    wrong = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=only_refund(request_).amount + Money(1, "EUR"))
    monkeypatch.setattr(gateway, "refund", lambda command: wrong)
    monkeypatch.setattr(gateway, "find", lambda **question: wrong)
    for minutes in (5, 68, 131):  # each more than an hour after the one before
        with clock.travel(timedelta(minutes=minutes)):
            drive_refunds()
            assert only_refund(request_).due_at > clock.database_now() + timedelta(minutes=59)
    told = Event.objects.filter(case=request_.pk, kind="refund_alert")
    assert [event.payload["why"] for event in told] == [only_refund(request_).needs_person]
    assert Attempt.objects.filter(refund=only_refund(request_)).count() == 4


def test_a_listing_that_is_told_to_wait_does_not_hold_up_sending(gateway, request_, monkeypatch):
    Refund.objects.update(list_first=True)
    slow_down = GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="rate_limit", retry_after_seconds=30)
    monkeypatch.setattr(gateway, "find", lambda **question: slow_down)
    drive_refunds()
    account = default_account()
    assert take_slots(account, SlotKind.SEND, 1) == [0.0]
    assert take_slots(account, SlotKind.READ, 1)[0] > 20


def test_a_call_abandoned_after_a_webhook_told_its_end_does_not_block_the_payment(gateway, policy):
    purchase = make_purchase(lines=[LICENCE])
    line = purchase.lines.get()
    first = only_refund(ask(purchase, {line: 1}))
    [claim] = claim_due(batch=1)
    answer = call_gateway(begin(claim))
    record_answer(refund_id=first.pk, answer=answer, now=NOW)  # the webhook was faster, and the worker died
    second = only_refund(ask(purchase, {line: 1}))
    drive_refunds()
    assert Attempt.objects.get(refund=first).ended_at is None
    for minute in (5, 10):
        with clock.travel(timedelta(minutes=minute)):
            drive_refunds()
    second.refresh_from_db()
    assert second.state == RefundState.SUCCEEDED
    assert Attempt.objects.get(refund=first).code == "lease_expired"


def test_facts_told_twice_or_in_any_order_end_in_the_same_state(gateway, request_, purchase):
    refund = only_refund(request_)
    pending = GatewayAnswer(kind=AnswerKind.PENDING, gateway_refund_id="re_1", amount=refund.amount)
    succeeded = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=refund.amount)
    for answer in (succeeded, pending, succeeded, pending):
        record_answer(refund_id=refund.pk, answer=answer, now=NOW)
    assert only_refund(request_).state == RefundState.SUCCEEDED
    assert balances(purchase) == ([(0, 1820)], [(0, 1820)])
    assert kinds(request_).count("refund_succeeded") == 1


def test_what_was_heard_since_somebody_asked_stands(gateway, request_):
    drive_refunds()
    refund = only_refund(request_)
    asked_at = clock.database_now()
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=refund.gateway_refund_id), now=NOW)
    succeeded = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id=refund.gateway_refund_id)
    record_answers([Told(refund.pk, succeeded, asked_at=asked_at)], now=NOW)
    assert only_refund(request_).state == RefundState.FAILED


def test_an_answer_about_another_amount_is_flagged_and_not_believed(gateway, request_):
    refund = only_refund(request_)
    wrong = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=refund.amount + refund.amount)
    record_answer(refund_id=refund.pk, answer=wrong, now=NOW)
    refund.refresh_from_db()
    assert refund.state == RefundState.RESERVED
    assert "36.40" in refund.needs_person


def test_money_that_the_bank_returns_opens_the_balance_again_and_alerts(gateway, request_, purchase):
    drive_refunds()
    refund = only_refund(request_)
    returned = GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=refund.gateway_refund_id, code="expired_or_canceled_card")
    record_answer(refund_id=refund.pk, answer=returned, now=NOW)
    assert balances(purchase) == ([(0, 0)], [(0, 0)])
    assert "refund_alert" in kinds(request_)


def test_money_that_went_after_all_raises_over_and_alerts(gateway, request_, purchase):
    drive_refunds()
    refund = only_refund(request_)
    answer = {"gateway_refund_id": refund.gateway_refund_id, "amount": refund.amount}
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, **answer), now=NOW)
    again = ask(purchase)
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.SUCCEEDED, **answer), now=NOW)
    payment, line = purchase.payments.get(), purchase.lines.get()
    assert (payment.held_minor, payment.gone_minor, payment.over_minor) == (1820, 1820, 1820)
    assert line.over_minor == 1820
    assert "refund_alert" in kinds(request_)
    stopped = only_refund(again)
    assert (stopped.state, stopped.waits_for) == (RefundState.RESERVED, WaitsFor.PERSON)
    assert drive_refunds() == 0
    assert Alert.objects.filter(kind="money_over", looked_at=None).exists()


def test_an_alert_is_raised_once_until_somebody_looked(gateway, request_):
    refund = only_refund(request_)
    wrong = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=refund.amount + refund.amount)
    for _time in range(2):
        record_answer(refund_id=refund.pk, answer=wrong, now=NOW)
    alert = Alert.objects.get()
    assert look_at(alert_id=alert.pk, by=CLERK, note="called the bank", now=NOW).looked_by_label == "Clara Clerk"
    record_answer(refund_id=refund.pk, answer=wrong, now=NOW)
    assert Alert.objects.filter(looked_at=None).count() == 1


def test_a_gateway_is_never_called_inside_a_transaction(gateway, request_):
    [claim] = claim_due(batch=1)
    started = begin(claim)
    with transaction.atomic(), pytest.raises(GatewayInTransaction):
        call_gateway(started)
    assert gateway.sent == []


def test_a_broken_adapter_reads_as_unknown(gateway, request_, monkeypatch):
    monkeypatch.setattr(type(gateway), "refund", lambda self, command: 1 / 0)
    drive_refunds()
    assert only_refund(request_).state == RefundState.UNKNOWN


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_an_adapter_opened_ends_with_its_call(gateway, request_, monkeypatch):
    opened = []

    def refund(self, command):
        GatewayAccount.objects.exists()
        opened.append((connection.connection is not None, connections["default"]))
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=command.amount)

    monkeypatch.setattr(type(gateway), "refund", refund)
    drive_refunds()
    [(was_open, of_the_thread)] = opened
    assert only_refund(request_).state == RefundState.SUCCEEDED
    assert was_open
    assert of_the_thread is not connections["default"]
    assert of_the_thread.connection is None


def test_the_sweep_finds_what_nobody_rang_for(gateway, request_):
    swept = sweep_once(NOW)
    assert swept.calls == 1
    assert only_refund(request_).state == RefundState.SUCCEEDED


def test_a_request_over_two_payments_is_two_refunds_that_add_up(gateway, policy):
    purchase = make_purchase(lines=[EBOOK, LICENCE], payments=[3000, 1220], purchased_at=BOUGHT)
    request = ask(purchase)
    drive_refunds()
    assert sorted(request.refunds.values_list("amount_minor", flat=True)) == [1220, 3000]
    assert balances(purchase) == ([(0, 3000), (0, 1220)], [(0, 1820), (0, 2400)])


@pytest.mark.parametrize(("minutes", "state"), [(-1, RefundState.FAILED), (0, RefundState.FAILED), (1, RefundState.SUCCEEDED)])
def test_by_the_gateways_own_clock_an_older_word_is_no_news_and_a_newer_one_is(gateway, request_, minutes, state):
    drive_refunds()
    refund = only_refund(request_)
    told = {"gateway_refund_id": refund.gateway_refund_id, "amount": refund.amount}
    failed_at = NOW + timedelta(days=3)  # the gateway's clock; ours says NOW
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, **told), told_at=failed_at, now=NOW)
    late = GatewayAnswer(kind=AnswerKind.SUCCEEDED, **told)
    record_answer(refund_id=refund.pk, answer=late, told_at=failed_at + timedelta(minutes=minutes), now=NOW)
    assert only_refund(request_).state == state


def test_a_worker_that_sleeps_past_its_lease_sends_nothing(gateway, request_):
    [claim] = claim_due(batch=1)
    started = begin(claim)
    answer = call_gateway(replace(started, deadline=monotonic()))
    assert (answer.kind, answer.code) == (AnswerKind.NOT_EXECUTED, "lease_over")
    assert gateway.sent == []
