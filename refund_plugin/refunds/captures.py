"""What the gateway says about a payment itself: it was captured, in full or for less, or it was let go of."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer, canceled_id
from refund_plugin.gateways.facts import WebhookPayment
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.orders.queries import find_payment
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.balances import Balances, over_of
from refund_plugin.refunds.externals import record_external
from refund_plugin.refunds.ledger.services import overpaid, post
from refund_plugin.refunds.locks import lock_payment
from refund_plugin.refunds.models import Operation, Refund
from refund_plugin.refunds.outcomes import OVER_PAID, record_answer, stop_unsent
from refund_plugin.refunds.states import RefundState

logger = logging.getLogger(__name__)


def record_capture(*, account: GatewayAccount, told: WebhookPayment, now: datetime) -> Payment | None:
    """Record that a payment was captured or canceled; words that come twice, late or out of order change nothing more.

    Args:
        now: UTC.
    Returns:
        The payment; None when we do not know it.
    Raises:
        ValueError: it was captured in another currency than we know.
    """
    payment = find_payment(account=account, gateway_payment_id=told.gateway_payment_id, charge_id=told.charge_id)
    if payment is None:
        return None
    if told.is_canceled:
        _record_canceled(payment, told_at=told.created, now=now)
    elif told.is_captured and _captured_minor(payment, told) != (payment.captured_minor if payment.is_captured else None):
        _record_captured(payment.pk, told, now=now)
    return payment


def _captured_minor(payment: Payment, told: WebhookPayment) -> int:
    """A payment that is captured in parts only ever grows; the first capture may be less than what was authorised."""
    return max(told.captured.minor, payment.captured_minor) if payment.is_captured else told.captured.minor


def _record_captured(payment_id: int, told: WebhookPayment, *, now: datetime) -> None:
    with transaction.atomic(durable=True):
        payment = lock_payment(payment_id)
        if payment is None:
            return
        if told.captured.currency != payment.currency:
            raise ValueError(f"{told.captured} was captured of a payment in {payment.currency}")
        over_before = payment.over_minor
        payment.captured_minor, payment.is_captured = _captured_minor(payment, told), True
        payment.captured_at = payment.captured_at or told.created
        payment.over_minor = over_of(payment)
        payment.save(update_fields=["captured_minor", "is_captured", "captured_at", "over_minor"])
        # what was about to be let go of is a refund now; one that was sent already is refused by the gateway, and tried again
        unsent = Refund.objects.filter(payment=payment, state=RefundState.RESERVED, command__isnull=True)
        unsent.filter(operation=Operation.CANCEL_PAYMENT).update(operation=Operation.REFUND)
        movement = overpaid(payment) if payment.over_minor or over_before else None
        if movement is not None:
            post(movement, now=now)
        if payment.over_minor > over_before:
            stop_unsent(Balances([]), payment, why=OVER_PAID)
            raise_alert(
                kind="money_over",
                key=f"money_over:capture:{payment.pk}",
                why=f"only {told.captured} was captured for order {payment.purchase.number}, and more is gone or on its way",
                store_id=payment.purchase.store_id,
                payment=payment,
                now=now,
            )


def _record_canceled(payment: Payment, *, told_at: datetime, now: datetime) -> None:
    """A canceled payment gives back all of it: our refund that asked for it is done, else somebody else let go of it."""
    name = canceled_id(payment.gateway_payment_id)
    amount = Money(payment.captured_minor, payment.currency)
    if not amount.minor:
        return
    answer = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id=name, amount=amount, code="")
    ours = Refund.objects.filter(payment=payment, operation=Operation.CANCEL_PAYMENT, gateway_refund_id__in=("", name))
    # a successor stands for the one it supersedes
    refund = ours.filter(successor__isnull=True).order_by("-created_at").first()
    if refund is not None:
        record_answer(refund_id=refund.pk, answer=answer, told_at=told_at, now=now)
    else:
        record_external(payment_id=payment.pk, answer=answer, told_at=told_at, now=now)
