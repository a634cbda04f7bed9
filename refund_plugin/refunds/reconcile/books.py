"""Compare a store's own books with ours: what it believes to be refunded of payments that were made at another account of ours.

Saleor is told of every refund; where it believes otherwise in the end, staff there may refund again what was refunded. Only what has
come to rest is compared: a refund that is on its way, or that the store is still to be told of, is looked at by a later run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum

from refund_plugin.gateways.answers import BookEntry, GatewayAnswer
from refund_plugin.gateways.base import Gateway
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.reconcile.models import Finding, FindingKind, ReconciliationRun
from refund_plugin.refunds.reconcile.payments import BOOKS, Read, wait_for_slot
from refund_plugin.refunds.states import GONE, HELD
from refund_plugin.refunds.telling.models import StoreTelling


def read_books(run: ReconciliationRun, gateway: Gateway) -> Read | GatewayAnswer:
    """Compare one page of the store's books; an answer when it must be asked for again."""
    wait_for_slot(run.account)
    page = gateway.list_books(changed_after=run.since, cursor=run.cursor.removeprefix(BOOKS))
    if isinstance(page, GatewayAnswer):
        return page
    payments = {(payment.account.slug, payment.gateway_payment_id): payment for payment in _at_rest(page.items)}
    gone = _gone([payment.pk for payment in payments.values()])
    differing = []
    for entry in page.items:
        payment = payments.get((entry.account, entry.gateway_payment_id))
        if payment is None:
            continue
        ours = Money(gone.get(payment.pk, 0), payment.currency)
        if ours != entry.refunded:
            differing.append(_finding(run, entry, ours))
    counts = Counter(books=len(payments))
    return Read(f"{BOOKS}{page.cursor}" if page.cursor else "", counts, differing)


def _at_rest(entries: Sequence[BookEntry]) -> QuerySet[Payment]:
    """Return our payments of these entries of which nothing is under way, here or in what the store is told."""
    wanted = Q(pk__in=[])
    for account in {entry.account for entry in entries}:
        wanted |= Q(account__slug=account, gateway_payment_id__in=[e.gateway_payment_id for e in entries if e.account == account])
    moving = Refund.objects.filter(payment=OuterRef("pk"), state__in=HELD)
    untold = StoreTelling.objects.filter(refund__payment=OuterRef("pk"), due_at__isnull=False)
    return Payment.objects.filter(wanted).exclude(Exists(moving)).exclude(Exists(untold)).select_related("account")


def _gone(payments: Sequence[int]) -> dict[int, int]:
    rows = Refund.objects.filter(payment__in=payments, state__in=GONE).order_by().values("payment")
    return {row["payment"]: row["gone"] for row in rows.annotate(gone=Sum("amount_minor"))}


def _finding(run: ReconciliationRun, entry: BookEntry, ours: Money) -> Finding:
    return Finding(
        run=run,
        account=run.account,
        kind=FindingKind.DIFFERS,
        gateway_refund_id=entry.name,
        ours=f"{ours} {entry.gateway_payment_id}"[:200],
        theirs=str(entry.refunded),
    )
