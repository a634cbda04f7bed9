"""Record what a gateway that keeps the order book has sold, such as Stripe by Checkout or Billing.

The same sale may be told several times, in any order and by two names: a checkout session that makes an invoice is told as the
session and as the invoice. Its payment says that both are one. Then the session counts, because it carries the shop's own number
of the order. (A session that starts a subscription reads as the subscription's first invoice; each renewal is a sale of its own.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from refund_plugin.conf import settings
from refund_plugin.errors import NotFound, RefundPluginError, WrongState
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.sales import Sale, SaleLine, SalePayment, SaleUse
from refund_plugin.gateways.services import SALEOR
from refund_plugin.orders.access import record_access
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData, Recorded
from refund_plugin.orders.models import SALEOR_LINE, AccessEvent, AccessKind, Payment, Purchase
from refund_plugin.orders.queries import clean_number
from refund_plugin.orders.services import record_purchases
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store

NUMBER_LENGTH = 64
SALE = "sale"  # in a purchase's metadata: the gateway's id of the sale that it was made from


def order_book_of(account: GatewayAccount) -> Store | None:
    """Return the store that an account's sales belong to; None when it keeps no order book. A Saleor's is its own store.

    Raises:
        NotFound: `ORDER_BOOKS` names a store that does not exist.
    """
    slug = settings().order_books.get(account.slug)
    if slug is None:
        return Store.objects.filter(slug=account.slug).first() if account.kind == SALEOR else None
    if slug in ("", settings().store):
        return ensure_default_store()
    store = Store.objects.filter(slug=slug).first()
    if store is None:
        raise NotFound(_("There is no store “%(slug)s”, which REFUND_PLUGIN['ORDER_BOOKS'] names.") % {"slug": slug})
    return store


def record_sale(*, store: Store, account: GatewayAccount, sale: Sale, now: datetime) -> tuple[Purchase, Recorded] | None:
    """Record a sale as a purchase, or bring its record up to date; telling it again, or by its other name, changes nothing.

    A purchase that somebody else recorded with this payment stays as it is, and so does one whose money has moved.

    Args:
        now: UTC.
    Returns:
        The purchase and what was done; None for a sale in which nothing was paid.
    Raises:
        InvalidInput: a value cannot be used, such as a sale without an e-mail address; `field` names it.
    """
    if not _is_paid(sale):
        return None
    data = _marked_data(sale, account)
    with transaction.atomic():
        _one_by_one(store)
        purchase, recorded = _do_record(store, account, sale, data, now)
        _record_uses(purchase, sale.uses)
        return purchase, recorded


def record_new_sales(*, store: Store, account: GatewayAccount, sales: Sequence[Sale], now: datetime) -> frozenset[str]:
    """Record those sales of which nothing is known yet, together, which is many times faster than one by one.

    Args:
        now: UTC.
    Returns:
        The `source_id` of what was recorded; none at all when one of them cannot be, which `record_sale` then tells of.
    """
    paid = [(sale, _marked_data(sale, account)) for sale in sales if _is_paid(sale)]
    with transaction.atomic():
        _one_by_one(store)
        known = {(payment.account.slug, payment.gateway_payment_id) for payment in _payments_of(account, [sale for sale, _data in paid])}
        taken = set(Purchase.objects.filter(store=store, number__in=[data.number for _sale, data in paid]).values_list("number", flat=True))
        new: dict[str, tuple[Sale, PurchaseData]] = {}
        for sale, data in paid:
            names = {(payment.account or account.slug, payment.gateway_payment_id) for payment in sale.payments}
            if not names & known and data.number not in taken:
                new[data.number] = sale, data
                known |= names
                taken.add(data.number)
        try:
            recorded = record_purchases(store=store, items=[data for _sale, data in new.values()], now=now) if new else []
        except RefundPluginError:
            return frozenset()
        for (purchase, _outcome), (sale, _data) in zip(recorded, new.values(), strict=True):
            _record_uses(purchase, sale.uses)
    return frozenset(sale.source_id for sale, _data in new.values())


def _marked_data(sale: Sale, account: GatewayAccount) -> PurchaseData:
    data = purchase_of(sale, account=account)
    return replace(data, metadata={**data.metadata, SALE: sale.source_id})


def _is_paid(sale: Sale) -> bool:
    return any(payment.captured.minor for payment in sale.payments)


def _one_by_one(store: Store) -> None:
    """Let one sale of a store be recorded after the other: two that were given one number must not become one purchase."""
    no_key = connection.features.has_select_for_no_key_update
    Store.objects.select_for_update(no_key=no_key).get(pk=store.pk)


def _do_record(store: Store, account: GatewayAccount, sale: Sale, data: PurchaseData, now: datetime) -> tuple[Purchase, Recorded]:
    known = _purchase_with(account, sale) or _purchase_of_order(store, sale, data.number)
    if known is not None:
        _ask_for_history(account, sale)
    if known is None:
        number = data.number if _is_free(store, data.number) else _spare_number(sale)
    elif _is_made_from(known, sale.source_id):
        number = known.number
    elif sale.kind == "checkout_session" and _is_made_from(known, sale.invoice_id) and not known.refund_requests.exists():
        number = data.number if _is_free(store, data.number) else known.number
        Purchase.objects.filter(pk=known.pk).update(number=number)
    else:
        return known, Recorded.UNCHANGED
    try:
        [(purchase, recorded)] = record_purchases(store=store, items=[replace(data, number=number)], now=now)
    except WrongState:
        if known is None:
            raise
        return known, Recorded.UNCHANGED  # its money has moved: from here on the record is history
    return purchase, recorded


def _record_uses(purchase: Purchase, uses: Sequence[SaleUse]) -> None:
    """Add to the access ledger what the order book counted since it was last read."""
    lines = {line.metadata.get(SALEOR_LINE): line for line in purchase.lines.all()} if uses else {}
    for use in uses:
        line = lines.get(use.line)
        if line is None:
            continue
        facts = AccessEvent.objects.filter(line=line, source=use.source, kind=AccessKind.DOWNLOADED)
        known = facts.aggregate(known=Sum("amount", default=0))["known"]
        if use.downloads > known:
            record_access(
                line=line,
                kind=AccessKind.DOWNLOADED,
                amount=use.downloads - known,
                source_id=f"downloads-{use.downloads}",
                occurred_at=use.since,
                source=use.source,
            )


def _purchase_with(account: GatewayAccount, sale: Sale) -> Purchase | None:
    """Return the purchase that one of the sale's payments belongs to."""
    found = _payments_of(account, [sale]).select_related("purchase").order_by("pk").first()
    return found.purchase if found is not None else None


def _payments_of(account: GatewayAccount, sales: Iterable[Sale], *, with_history: bool = False) -> QuerySet[Payment]:
    """Return our rows of the payments of sales, whose account is the order book's own unless they name another.

    Args:
        with_history: only those of which the sale tells that something was refunded or disputed.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for payment in (payment for sale in sales for payment in sale.payments if payment.has_history or not with_history):
        names[payment.account or account.slug] += [name for name in (payment.gateway_payment_id, payment.charge_id) if name]
    wanted = Q(pk__in=[])
    for slug, its_names in names.items():
        wanted |= Q(account__slug=slug, livemode=F("account__livemode"), gateway_payment_id__in=its_names)
    return Payment.objects.filter(wanted).select_related("account")


def _purchase_of_order(store: Store, sale: Sale, number: str) -> Purchase | None:
    """Return what was recorded of a store's order before it was paid otherwise: a store numbers its orders itself, and once."""
    if sale.kind != "order":
        return None
    found = Purchase.objects.filter(store=store, number=number).first()
    return found if found is not None and _is_made_from(found, sale.source_id) else None


def _ask_for_history(account: GatewayAccount, sale: Sale) -> None:
    """Let the gateway be asked about payments of which it refunded or disputed something, and we know of nothing."""
    if any(payment.has_history for payment in sale.payments):
        untouched = Payment.objects.filter(held_minor=0, gone_minor=0, disputed_minor=0, history_due_at__isnull=True)
        untouched.filter(pk__in=_payments_of(account, [sale], with_history=True).values("pk")).update(history_due_at=Now())


def _is_made_from(purchase: Purchase, source_id: str) -> bool:
    return bool(source_id) and purchase.metadata.get(SALE) == source_id


def _spare_number(sale: Sale) -> str:
    """Return a number for a sale whose own is taken: the gateway's name of its payment, or of the sale where that is too long."""
    name = sale.payments[0].gateway_payment_id
    return name if len(name) <= NUMBER_LENGTH else sale.source_id[:NUMBER_LENGTH]


def _is_free(store: Store, number: str) -> bool:
    return not Purchase.objects.filter(store=store, number=number).exists()


def purchase_of(sale: Sale, *, account: GatewayAccount) -> PurchaseData:
    """Return a sale as a purchase.

    Its number is the sale's; where that is longer than an order number can be, as a session's own id is, the payment's id.
    """
    number = clean_number(sale.number)
    return PurchaseData(
        number=number if 0 < len(number) <= NUMBER_LENGTH else _spare_number(sale),
        email=sale.email,
        currency=sale.currency,
        purchased_at=sale.purchased_at,
        lines=tuple(_line(line) for line in sale.lines),
        payments=tuple(_payment(payment, sale, account) for payment in sale.payments),
        customer_name=_printable(sale.name, 200),
        locale=_printable(sale.locale, 20),
        buyer_kind=sale.buyer_kind,
        country=sale.country if len(sale.country) == 2 else "",
        channel=_printable(sale.channel or sale.metadata.get("channel", ""), 64),
        metadata=sale.kept,
    )


def _line(line: SaleLine) -> LineData:
    has_term = line.term_start is not None and line.term_end is not None and line.term_start < line.term_end
    return LineData(
        sku=_printable(line.sku, 120),
        name=_printable(line.name, 300),
        paid_minor=line.paid.minor,
        tax_minor=line.tax.minor,
        tax_rate_percent=round(line.tax_rate_percent, 3) + Decimal(0),
        quantity=line.quantity,
        product_type=_printable(line.product_type, 120),
        categories=tuple(_printable(word, 120) for word in line.categories),
        tags=tuple(_printable(word, 120) for word in line.tags),
        nature=line.nature or "content",
        term_start=line.term_start if has_term else None,
        term_end=line.term_end if has_term else None,
        units_granted=line.units_granted or None,
        unit_name=_printable(line.unit_name, 40),
        metadata=line.metadata,
    )


def _payment(payment: SalePayment, sale: Sale, account: GatewayAccount) -> PaymentData:
    settlement = payment.settlement if payment.settlement is not None and payment.settlement.minor >= 0 else None
    fee = payment.fee if settlement is not None and payment.fee is not None and payment.fee.minor >= 0 else None
    return PaymentData(
        gateway_payment_id=payment.gateway_payment_id,
        captured_minor=payment.captured.minor,
        account=payment.account or account.slug,
        method=payment.method[:40],
        brand=payment.brand[:40],
        last4=payment.last4[:4],
        captured_at=payment.paid_at,
        is_captured=payment.is_captured,
        settlement_minor=settlement.minor if settlement is not None else None,
        settlement_currency=settlement.currency if settlement is not None else "",
        fee_minor=fee.minor if fee is not None else None,
        subscription_id=sale.subscription_id,
        invoice_id=sale.invoice_id,
        has_history=payment.has_history,
        metadata=payment.metadata,
    )


def _printable(text: str, longest: int) -> str:
    """Return a text that people wrote at the gateway as we can keep it: control characters would be refused."""
    return "".join(character if character.isprintable() else " " for character in text).strip()[:longest].strip()
