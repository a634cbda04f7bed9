"""Statutory withdrawals: until when the money must be back, and the alerts that keep somebody from missing it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db.models import Case, DateTimeField, Exists, F, OuterRef, Q, When

from refund_plugin.localize import Formatter
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.models import Alert, Refund, RefundRequest, RequestLine
from refund_plugin.refunds.states import GONE, RequestState
from refund_plugin.rules import LineVerdict, Outcome, Right, StatutoryWithdrawal

# Directive 2011/83/EU, Art. 13(1): not later than 14 days from the day on which the trader is informed of the withdrawal. The
# day itself is not counted (Regulation 1182/71, Art. 3), so counting from the very moment is a little earlier, never late.
REIMBURSE_WITHIN = timedelta(days=14)
WARN_BEFORE = timedelta(days=3)
DUE_SOON, OVERDUE = "reimburse_soon", "reimburse_overdue"
EVERY_SECONDS = 3600
WITHDRAWAL_CHANNEL = "withdrawal"  # the electronic withdrawal function
NOT_IN_FORCE = (RequestState.CANCELED, RequestState.DECLINED)


def reimburse_by(withdrawn_at: datetime) -> datetime:
    """Return the last moment for the money of a withdrawal that arrived at `withdrawn_at` (UTC)."""
    return withdrawn_at + REIMBURSE_WITHIN


def is_withdrawal(verdict: LineVerdict) -> bool:
    """Tell whether a verdict gives the customer their right to withdraw, by a clause of the policy or by the law beside it.

    Whoever asks in time for money back that the right gives them has withdrawn, whatever words they chose. Source: Directive
    2011/83/EU, art. 11(1): any unequivocal statement.
    """
    if verdict.outcome is Outcome.DECLINE:
        return False
    by_law = verdict.by_law is not None and verdict.by_law.right is Right.WITHDRAWAL
    return by_law or verdict.clause_kind == StatutoryWithdrawal.kind


def declared_by_line(purchase: Purchase) -> Mapping[int, RefundRequest]:
    """Return the withdrawals of a purchase that stand, by the id of each line that they are about; one statement."""
    items = RequestLine.objects.filter(request__purchase=purchase, request__is_withdrawal=True).exclude(request__state__in=NOT_IN_FORCE)
    return {item.line_id: item.request for item in items.select_related("request").order_by("pk")}


def exact_time(moment: datetime, formatter: Formatter) -> str:
    """Write a moment for a receipt: for the customer, and to the second for whoever has to prove it."""
    return f"{formatter.datetime(moment)} ({moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC)"


def _unpaid() -> Q:
    """A withdrawal is unpaid until a person has turned it down or all that is owed on it has gone."""
    undecided = Q(state__in=[RequestState.SUBMITTED, RequestState.NEEDS_EVIDENCE, RequestState.IN_REVIEW])
    open_money = Refund.objects.filter(request=OuterRef("pk"), owed=True).exclude(state__in=list(GONE))
    return Q(is_withdrawal=True) & (undecided | Q(Exists(open_money), state=RequestState.APPROVED))


def reimburse_due() -> Case:
    """Return an expression for queries of requests: `reimburse_by` while the money is still due, else null."""
    return Case(When(_unpaid(), then=F("reimburse_by")), default=None, output_field=DateTimeField(null=True))


def warn_of_due(now: datetime) -> int:
    """Raise an alert for every withdrawal whose money is due within three days, and one a day once it is late.

    Returns:
        How many alerts were raised.
    """
    raised = 0
    due = RefundRequest.objects.filter(_unpaid(), reimburse_by__lte=now + WARN_BEFORE).order_by("reimburse_by")
    for request in due.iterator():
        assert request.reimburse_by is not None
        late_days = (now - request.reimburse_by).days
        kind = OVERDUE if now > request.reimburse_by else DUE_SOON
        key = f"{kind}:{request.pk}" + (f":{late_days}" if kind == OVERDUE else "")
        if Alert.objects.filter(key=key).exists():
            continue  # somebody has looked at this very warning
        why = f"{request.reference}: the law wants the money back by {request.reimburse_by:%Y-%m-%d %H:%M} UTC"
        details = {"request": str(request.pk)}
        raised += raise_alert(kind=kind, key=key, why=why, store_id=request.store_id, details=details, now=now) is not None
    return raised
