"""Refunds of payments that another payment app owns: decided here, granted and requested in Saleor, paid there, and never twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from refund_plugin import clock
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.reconcile.models import Finding, ReconciliationRun, RunState
from refund_plugin.refunds.reconcile.services import advance_run, start_run
from refund_plugin.refunds.telling.models import StoreTelling
from tests.factories import publish_policy
from tests.refunds.helpers import ask
from tests.saleor.orders.shop import Shop
from tests.saleor.standin.traps import Fault
from tests.saleor.standin.world import Order, TransactionItem

pytestmark = pytest.mark.django_db
REQUEST, GRANT, LOOK = "TransactionRequestRefundForGrantedRefund", "OrderGrantRefundCreate", "TransactionRefunds"


@pytest.fixture
def sold(shop: Shop) -> tuple[Order, TransactionItem]:
    """An e-book of 30.00, paid over another app and known here, under a policy that gives it back."""
    publish_policy(store=shop.store)
    order, transaction = shop.sell({"price": "30.00", "type": "ebook"})
    shop.hear()
    return order, transaction


def request_refund(shop: Shop, order: Order) -> RefundRequest:
    """Ask as the customer, now."""
    return ask(shop.purchase(order), now=clock.now())


def go_on(shop: Shop, *, minutes: int = 0, rounds: int = 4) -> None:
    """Let workers, Saleor and the other app do what is due, for a while."""
    shop.saleor.clock.advance(minutes * 60)
    with clock.travel(timedelta(minutes=minutes)):
        for _round in range(rounds):
            Refund.objects.filter(state__in=["reserved", "unknown", "pending"]).update(due_at=clock.database_now() - timedelta(hours=1))
            drive_refunds()
            shop.hear()
            deliver_due(seconds=5)


def paid(shop: Shop, transaction: TransactionItem) -> Decimal:
    return shop.saleor.other.paid_for(transaction.id)


def test_a_customers_refund_is_granted_and_requested_and_ends_with_the_apps_word(shop: Shop, sold: tuple[Order, TransactionItem]) -> None:
    order, transaction = sold
    shop.saleor.other.default = "async"
    request = request_refund(shop, order)
    go_on(shop)
    refund = Refund.objects.get(request=request)
    (grant,) = order.granted_refunds
    assert (refund.state, grant.status, grant.amount_value) == ("pending", "PENDING", Decimal("30.00"))
    assert grant.reason.endswith(f":{refund.pk}]")
    assert request.reference in grant.reason
    assert [(line.order_line.id, line.quantity) for line in grant.lines] == [(order.lines[0].id, 1)]
    shop.saleor.settle_other()
    shop.hear()  # the order's event alone, without asking
    refund.refresh_from_db()
    assert (refund.state, grant.status) == ("succeeded", "SUCCESS")
    assert (paid(shop, transaction), transaction.refunded, shop.payment(order).gone_minor) == (Decimal("30.00"), Decimal("30.00"), 3000)
    assert Refund.objects.count() == 1


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("operation", [LOOK, GRANT, REQUEST])
def test_whatever_answer_is_lost_the_customer_is_paid_once(
    shop: Shop, sold: tuple[Order, TransactionItem], operation: str, executed: bool
) -> None:
    order, transaction = sold
    request_refund(shop, order)
    shop.saleor.traps.add(Fault("drop", operation=operation, executed=executed))
    go_on(shop)
    go_on(shop, minutes=1)
    if operation != REQUEST or executed:
        assert paid(shop, transaction) == Decimal("30.00")
        assert {refund.state for refund in Refund.objects.all()} == {"succeeded"}
    else:
        # nobody may say that it never arrives, before it was looked for twice, far enough apart
        assert (paid(shop, transaction), Refund.objects.get().state) == (Decimal(0), "unknown")
        for minutes in (12, 25, 38):
            go_on(shop, minutes=minutes)
        assert paid(shop, transaction) <= Decimal("30.00")
        assert Refund.objects.filter(state="unknown").count() == 0
    assert shop.payment(order).over_minor == 0


def test_a_worker_that_died_between_grant_and_request_is_followed_by_one_that_requests_the_same_grant(
    shop: Shop, sold: tuple[Order, TransactionItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    order, transaction = sold
    request_refund(shop, order)
    shop.saleor.traps.add(Fault("drop", operation=LOOK, skip=2))  # find, look, grant, then the look before the request
    go_on(shop)
    assert (len(order.granted_refunds), paid(shop, transaction)) == (1, Decimal("30.00"))
    assert Refund.objects.get().state == "succeeded"


def test_an_app_that_refuses_leaves_the_debt_open_and_says_why(shop: Shop, sold: tuple[Order, TransactionItem]) -> None:
    order, transaction = sold
    shop.saleor.other.default = "failure"
    request_refund(shop, order)
    go_on(shop)
    refund = Refund.objects.order_by("reserved_at").first()
    assert refund is not None
    assert (refund.state, refund.failure_code, refund.failure_message) == ("failed", "refused_by_payment_app", "The bank said no.")
    assert (paid(shop, transaction), shop.payment(order).gone_minor) == (Decimal(0), 0)


def test_an_answer_that_saleor_did_not_wait_for_is_not_taken_for_a_no(shop: Shop, sold: tuple[Order, TransactionItem]) -> None:
    order, transaction = sold
    shop.saleor.other.default = "lost"
    request_refund(shop, order)
    for minutes in (0, 12, 25):
        go_on(shop, minutes=minutes)
    (refund,) = Refund.objects.all()
    assert (refund.state, paid(shop, transaction)) == ("pending", Decimal("30.00"))
    assert shop.payment(order).left.minor == 0


def test_what_staff_refunded_in_saleor_is_not_paid_again_to_a_customer_who_asks_at_the_same_time(
    shop: Shop, sold: tuple[Order, TransactionItem]
) -> None:
    order, transaction = sold
    request_refund(shop, order)  # reserved here
    shop.saleor.refund_at_once(transaction)  # and pressed there, before a worker sends ours
    for minutes in (0, 12, 25, 38):
        go_on(shop, minutes=minutes)
    assert paid(shop, transaction) == Decimal("30.00")
    assert shop.payment(order).gone_minor == 3000


def test_the_reconciliation_of_a_saleor_finds_what_no_event_told(shop: Shop, sold: tuple[Order, TransactionItem]) -> None:
    order, transaction = sold
    request_refund(shop, order)
    go_on(shop)
    second, its_transaction = shop.sell({"price": "20.00", "type": "ebook"})
    shop.hear()
    shop.saleor.refund_at_once(its_transaction, "5.00")
    shop.saleor.work()
    Refund.objects.filter(payment=shop.payment(second)).delete()
    run = start_run(account=shop.account)
    while run.state == RunState.RUNNING:
        assert advance_run(run.pk, now=clock.now())
        run.refresh_from_db()
    assert (run.state, run.counts["listed"], run.counts["ours"], run.counts["external"]) == ("done", 2, 1, 1)
    assert shop.payment(second).gone_minor == 500
    assert not Finding.objects.exists()


def test_saleors_totals_of_our_own_payments_are_compared_with_ours_once_nothing_is_under_way(shop: Shop) -> None:
    gateway = gateway_for(GatewayAccount.objects.get(slug="main"))
    assert isinstance(gateway, MemoryGateway)
    publish_policy(store=shop.store)
    sold = {name: shop.sell({"price": "30.00", "type": "ebook"}, ours=name) for name in ("pi_right", "pi_wrong", "pi_moving", "pi_none")}
    shop.hear()
    for name, (order, transaction) in sold.items():
        gateway.add_payment(name, Money(3000, "EUR"))
        Payment.objects.filter(purchase=shop.purchase(order)).update(history_due_at=None)
        if name != "pi_none":
            request_refund(shop, order)
        if name == "pi_right":
            shop.saleor.report_as(shop.app, transaction, "REFUND_SUCCESS", "r-1", Decimal("30.00"))
    for refund in Refund.objects.exclude(payment__gateway_payment_id="pi_moving"):
        told = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id=f"re_{refund.payment}", amount=refund.amount)
        record_answer(refund_id=refund.pk, answer=told, now=clock.now())
    StoreTelling.objects.update(due_at=None)

    def compare() -> ReconciliationRun:
        run = start_run(account=shop.account)
        while run.state == RunState.RUNNING:
            assert advance_run(run.pk, now=clock.now())
            run.refresh_from_db()
        return run

    run = compare()
    (finding,) = Finding.objects.filter(account=shop.account, resolved_at__isnull=True)
    assert (finding.gateway_refund_id, finding.ours, finding.theirs) == (sold["pi_wrong"][1].id, "30.00 EUR pi_wrong", "0.00 EUR")
    assert run.counts["books"] == 3, "what is under way is compared later"
    shop.saleor.report_as(shop.app, sold["pi_wrong"][1], "REFUND_SUCCESS", "r-2", Decimal("30.00"))
    compare()
    assert not Finding.objects.filter(resolved_at__isnull=True).exists()
