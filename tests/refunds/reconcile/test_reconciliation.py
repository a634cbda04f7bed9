"""Reconciliation: the gateway's listing, page by page, against what we say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.gateways.base import NOT_SUPPORTED, AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import default_account, ensure_accounts
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Alert, Dispute, DisputeOutcome, Refund, RefundOrigin
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.reconcile import services
from refund_plugin.refunds.reconcile.models import Finding, FindingKind, ReconciliationRun, RunState
from refund_plugin.refunds.reconcile.services import advance_run, reconcile_due, start_run
from refund_plugin.refunds.states import RefundState
from tests.factories import make_purchase
from tests.refunds.helpers import ask, only_refund

pytestmark = pytest.mark.django_db


def run_through(**changes) -> ReconciliationRun:
    now = clock.now()
    run = start_run(account=default_account(), **changes)
    while advance_run(run.pk, now=now):
        pass
    run.refresh_from_db()
    return run


@pytest.fixture
def paid(policy, gateway) -> Refund:
    request = ask(make_purchase())
    drive_refunds()
    return only_refund(request)


def test_what_agrees_is_counted_and_finds_nothing(paid):
    run = run_through()
    assert (run.state, run.counts["ours"], run.share_done) == (RunState.DONE, 1, 1.0)
    assert not Finding.objects.exists()
    paid.refresh_from_db()
    assert paid.seen_at is not None


def test_a_success_that_nobody_told_us_is_learnt(policy, gateway):
    gateway.script("pending")
    request = ask(make_purchase())
    drive_refunds()
    gateway.settle(only_refund(request).gateway_refund_id, AnswerKind.SUCCEEDED)
    run = run_through()
    assert only_refund(request).state == RefundState.SUCCEEDED
    assert run.counts["news"] == 1


def test_a_refund_made_in_the_gateways_dashboard_counts_against_the_payment(policy, gateway):
    purchase = make_purchase()
    payment = purchase.payments.get()
    gateway.refund_externally(payment.gateway_payment_id, Money(500, "EUR"))
    run = run_through()
    payment.refresh_from_db()
    assert (payment.gone_minor, payment.unallocated_minor) == (500, 500)
    assert Refund.objects.get(payment=payment).origin == RefundOrigin.EXTERNAL
    assert run.counts["external"] == 1
    assert Alert.objects.filter(looked_at=None).exists()


def test_money_we_call_refunded_and_the_gateway_does_not_list_alerts_when_it_stays(paid, gateway):
    gateway.drop_from_listings(paid.gateway_refund_id)
    with clock.travel(timedelta(hours=2)):
        run_through()
        finding = Finding.objects.get()
        assert (finding.kind, finding.refund, finding.runs) == (FindingKind.MISSING, paid, 1)
        assert not Alert.objects.exists()
    with clock.travel(timedelta(hours=26)):
        run_through()
    finding.refresh_from_db()
    assert finding.runs == 2
    assert Alert.objects.get().kind == "reconcile_missing"


def test_a_difference_that_is_gone_is_resolved(paid, gateway):
    gateway.lag_listings(3 * 3600)
    with clock.travel(timedelta(hours=2)):
        run_through()
    assert Finding.objects.get().resolved_at is None
    with clock.travel(timedelta(hours=26)):
        run_through()
    assert Finding.objects.get().resolved_at is not None


def test_a_run_that_was_cut_off_goes_on_at_its_page_and_counts_nothing_twice(policy, gateway, monkeypatch):
    for _number in range(5):
        ask(make_purchase())
    drive_refunds()
    listing = gateway.list_refunds
    monkeypatch.setattr(gateway, "list_refunds", lambda **question: listing(**{**question, "limit": 2}))
    now = clock.now()
    run = start_run(account=default_account())
    assert advance_run(run.pk, now=now)
    run.refresh_from_db()
    assert (run.state, run.pages, run.counts["listed"]) == (RunState.RUNNING, 1, 2)
    assert start_run(account=default_account()) == run
    run = run_through()
    assert (run.state, run.counts["listed"]) == (RunState.DONE, 5)


def test_a_listing_that_cannot_be_read_is_tried_again_and_given_up_with_an_alert(policy, gateway, monkeypatch):
    silence = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer")
    monkeypatch.setattr(gateway, "list_refunds", lambda **question: silence)
    run = start_run(account=default_account())
    for hour in range(12):
        with clock.travel(timedelta(hours=hour)):
            advance_run(run.pk, now=clock.now())
    run.refresh_from_db()
    assert (run.state, run.last_error) == (RunState.FAILED, "no_answer")
    assert Alert.objects.get().kind == "reconcile_failed"


def test_the_schedule_starts_one_run_a_day(policy, gateway):
    now = clock.now()
    while reconcile_due(now):
        pass
    assert [run.state for run in ReconciliationRun.objects.all()] == [RunState.DONE]
    assert reconcile_due(now + timedelta(hours=1)) == 0
    assert reconcile_due(now + timedelta(hours=25)) == 1
    assert ReconciliationRun.objects.count() == 2


def test_a_schedule_of_nothing_starts_nothing(policy, gateway, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "RECONCILE_HOURS": 0}
    assert reconcile_due(clock.now()) == 0
    assert not ReconciliationRun.objects.exists()


def test_a_dispute_that_no_webhook_told_counts_stops_what_is_unsent_and_is_counted_once(policy, gateway):
    purchase = make_purchase()
    payment = purchase.payments.get()
    request = ask(purchase)
    gateway.dispute(payment.gateway_payment_id)

    runs = [run_through(), run_through()]

    payment.refresh_from_db()
    assert (payment.held_minor, payment.disputed_minor) == (0, 1820)
    assert only_refund(request).state == RefundState.CANCELED
    assert [(run.counts.get("disputes"), run.counts.get("news", 0)) for run in runs] == [(1, 1), (1, 0)]
    assert Alert.objects.filter(kind="dispute_opened").count() == 1


def test_the_end_of_a_dispute_from_before_the_runs_day_is_learnt(policy, gateway):
    payment = make_purchase().payments.get()
    gateway.dispute(payment.gateway_payment_id)
    run_through()
    gateway.dispute(payment.gateway_payment_id, is_open=False)
    with clock.travel(timedelta(days=200)):
        run_through(since=clock.now() - timedelta(days=1))
    payment.refresh_from_db()
    assert Dispute.objects.get().outcome == DisputeOutcome.WON and payment.disputed_minor == 0


def test_a_dispute_that_was_closed_after_the_listing_was_asked_for_stays_closed(policy, gateway):
    payment = make_purchase().payments.get()
    gateway.dispute(payment.gateway_payment_id)
    run_through()
    told = timedelta(minutes=5)
    Dispute.objects.update(outcome=DisputeOutcome.WON, status="won", told_at=clock.now() + told)
    run_through()
    assert Dispute.objects.get().outcome == DisputeOutcome.WON


@pytest.mark.parametrize("held", [False, True], ids=["nothing is asked for", "a refund waits"])
def test_a_capture_that_no_webhook_told_is_learnt_and_what_waits_becomes_a_refund(policy, gateway, held):
    purchase = make_purchase(captured=False, purchased_at=clock.now())
    payment = purchase.payments.get()
    purchase.payments.update(is_captured=False)
    gateway.add_payment(payment.gateway_payment_id, Money(payment.captured_minor, "EUR"), is_captured=False)
    request = ask(purchase, now=clock.now()) if held else None
    gateway.capture(payment.gateway_payment_id)

    run = run_through()

    payment.refresh_from_db()
    assert payment.is_captured and (run.counts["payments"], run.counts["news"]) == (1, 1)
    assert request is None or only_refund(request).operation == "refund"


def test_a_payment_that_was_let_go_of_elsewhere_is_learnt_once(policy, gateway, monkeypatch):
    purchase = make_purchase(captured=False, purchased_at=clock.now())
    payment = purchase.payments.get()
    purchase.payments.update(is_captured=False)
    gateway.add_payment(payment.gateway_payment_id, Money(payment.captured_minor, "EUR"), is_captured=False)
    state = gateway.payment_state(payment.gateway_payment_id)
    monkeypatch.setattr(gateway, "payment_state", lambda name: replace(state, is_canceled=True, captured=Money(0, "EUR")))

    runs = [run_through(), run_through()]

    payment.refresh_from_db()
    assert payment.gone_minor == 1820 and [run.counts.get("news", 0) for run in runs] == [1, 0]


def test_a_payment_or_a_dispute_that_cannot_be_asked_for_is_tried_again(policy, gateway, monkeypatch):
    silence = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer")
    monkeypatch.setattr(gateway, "list_disputes", lambda **question: silence)
    run = run_through()
    assert (run.state, run.failures, run.last_error) == (RunState.RUNNING, 1, "no_answer")


def test_a_gateway_that_lists_no_disputes_is_compared_all_the_same(paid, gateway, monkeypatch):
    monkeypatch.setattr(gateway, "list_disputes", lambda **question: NOT_SUPPORTED)
    assert run_through().state == RunState.DONE


@pytest.mark.parametrize("told", [timedelta(seconds=-30), None], ids=["by a clock that is behind", "in an answer"])
def test_a_page_from_before_a_failure_does_not_overrule_it(paid, gateway, monkeypatch, told):
    """The page was read while the bank had the money; by its time it seems newer than the failure."""
    page = gateway.list_refunds()
    gateway.settle(paid.gateway_refund_id, AnswerKind.FAILED, "expired_or_canceled_card")
    record_answer(
        refund_id=paid.pk, answer=gateway.retrieve(paid.gateway_refund_id), told_at=clock.now() + told if told else None, now=clock.now()
    )
    monkeypatch.setattr(gateway, "list_refunds", lambda **question: page)

    run_through()

    paid.refresh_from_db()
    assert paid.state == RefundState.FAILED and not Finding.objects.exists()


def test_a_failure_that_the_gateway_takes_back_when_asked_is_believed(paid, gateway):
    record_answer(
        refund_id=paid.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=paid.gateway_refund_id), now=clock.now()
    )
    run_through()
    paid.refresh_from_db()
    assert paid.state == RefundState.SUCCEEDED
    assert Alert.objects.filter(kind="refund_contradiction").exists()


def test_an_end_that_cannot_be_asked_for_again_is_no_difference_and_closes_none(paid, gateway, monkeypatch):
    refund_id = paid.gateway_refund_id
    known = Finding.objects.create(
        run=run_through(),
        account=default_account(),
        kind=FindingKind.DIFFERS,
        refund=paid,
        gateway_refund_id=refund_id,
        found_at=clock.now(),
    )
    page = gateway.list_refunds()
    gateway.settle(refund_id, AnswerKind.FAILED)
    record_answer(refund_id=paid.pk, answer=gateway.retrieve(refund_id), now=clock.now())
    silence = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer")
    monkeypatch.setattr(gateway, "list_refunds", lambda **question: page)
    monkeypatch.setattr(gateway, "retrieve", lambda name: silence)
    Alert.objects.all().delete()

    run = run_through()

    known.refresh_from_db()
    assert (run.state, known.resolved_at, known.runs) == (RunState.DONE, None, 1)
    assert Finding.objects.count() == 1 and not Alert.objects.exists()


@pytest.fixture
def authorised(policy, gateway, monkeypatch):
    """Two payments that wait to be captured; the gateway has captured both, and cannot be asked for the first."""
    payments = [make_purchase(captured=False, purchased_at=clock.now()).payments.get() for _number in range(2)]
    for payment in payments:
        Payment.objects.filter(pk=payment.pk).update(is_captured=False)
        gateway.add_payment(payment.gateway_payment_id, Money(payment.captured_minor, "EUR"))
    state, broken = gateway.payment_state, payments[0].gateway_payment_id
    unreadable = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="unreadable_answer")
    monkeypatch.setattr(gateway, "payment_state", lambda name: unreadable if name == broken else state(name))
    return payments


def try_often(run: ReconciliationRun, *, times: int) -> ReconciliationRun:
    for hour in range(times):
        with clock.travel(timedelta(hours=hour)):
            while advance_run(run.pk, now=clock.now()):
                pass
    run.refresh_from_db()
    return run


def test_a_payment_that_stays_unreadable_is_told_to_staff_and_the_rest_is_compared(authorised):
    run = start_run(account=default_account())
    assert try_often(run, times=2).state == RunState.RUNNING
    with clock.travel(timedelta(hours=3)):
        assert try_often(run, times=1).state == RunState.DONE
    assert [Payment.objects.get(pk=payment.pk).is_captured for payment in authorised] == [False, True]
    alert = Alert.objects.get()
    assert alert.kind == "reconcile_payment" and authorised[0].gateway_payment_id in alert.why


def test_while_the_account_does_not_answer_at_all_no_payment_is_left_out(authorised, gateway, monkeypatch):
    monkeypatch.setattr(gateway, "ping", lambda: GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer"))
    run = try_often(start_run(account=default_account()), times=12)
    assert run.state == RunState.FAILED
    assert [alert.kind for alert in Alert.objects.all()] == ["reconcile_failed"]


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="http_403", hold=True), 1),
        (GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="unreadable_answer"), 3),
    ],
    ids=["a key that may not read them", "a list that stays unreadable"],
)
def test_disputes_that_cannot_be_listed_are_told_to_staff_and_payments_are_compared(policy, gateway, monkeypatch, answer, tries):
    purchase = make_purchase(captured=False, purchased_at=clock.now())
    purchase.payments.update(is_captured=False)
    payment = purchase.payments.get()
    gateway.add_payment(payment.gateway_payment_id, Money(payment.captured_minor, "EUR"))
    monkeypatch.setattr(gateway, "list_disputes", lambda **question: answer)

    run = try_often(start_run(account=default_account()), times=tries)

    payment.refresh_from_db()
    assert (run.state, payment.is_captured) == (RunState.DONE, True)
    assert answer.code in Alert.objects.get(kind="reconcile_payment").why


def test_a_key_that_may_not_read_the_disputes_of_an_old_one_is_told_and_the_run_ends(policy, gateway, monkeypatch):
    payment = make_purchase().payments.get()
    gateway.dispute(payment.gateway_payment_id)
    run_through()
    refused = GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="http_403", hold=True)
    listed = gateway.list_disputes
    monkeypatch.setattr(gateway, "list_disputes", lambda **question: refused if question.get("gateway_payment_id") else listed(**question))
    with clock.travel(timedelta(days=200)):
        run = run_through(since=clock.now() - timedelta(days=1))
    assert run.state == RunState.DONE
    assert payment.gateway_payment_id in Alert.objects.get(kind="reconcile_payment").why


def test_a_page_that_cannot_be_recorded_gives_its_run_up_after_its_tries_and_never_stops_another(paid, gateway, settings, monkeypatch):
    gateways = settings.REFUND_PLUGIN["GATEWAYS"]
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "GATEWAYS": {**gateways, "second": {"kind": "memory", "name": "second"}}}
    ensure_accounts()
    broken, record = default_account(), services.record_seen

    def cannot(*, account, **arguments):
        if account == broken:
            raise LookupError("a refund that nobody can take in")
        return record(account=account, **arguments)

    monkeypatch.setattr(services, "record_seen", cannot)
    for hour in range(12):
        with clock.travel(timedelta(hours=hour)):
            while reconcile_due(clock.now()):
                pass

    states = {run.account.slug: (run.state, run.last_error) for run in ReconciliationRun.objects.order_by("pk")}
    assert states == {broken.slug: (RunState.FAILED, "LookupError"), "second": (RunState.DONE, "")}
    assert Alert.objects.get(kind="reconcile_failed").account == broken
