"""Reconciliation: the gateway's listing, page by page, against what we say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Alert, Refund, RefundOrigin
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
    assert (run.state, run.pages, run.counts["listed"]) == (RunState.DONE, 3, 5)


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
    assert reconcile_due(now) == 1
    assert reconcile_due(now + timedelta(hours=1)) == 0
    assert reconcile_due(now + timedelta(hours=25)) == 1
    assert ReconciliationRun.objects.count() == 2


def test_a_schedule_of_nothing_starts_nothing(policy, gateway, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "RECONCILE_HOURS": 0}
    assert reconcile_due(clock.now()) == 0
    assert not ReconciliationRun.objects.exists()
