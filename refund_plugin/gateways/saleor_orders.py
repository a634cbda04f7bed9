"""An order of Saleor's as a sale: the lines that can be refunded as digital, and the payments that paid for them. Pure.

What Saleor has no field for, a shop writes into the private metadata of the line, or the metadata of the variant, the product or the
product type, in this order (docs/saleor.md): `refunds.digital`, `refunds.nature`, `refunds.units`, `refunds.unit_name`,
`refunds.product_type`, `refunds.tags`. A line's public metadata is the buyer's, who may write it at the checkout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils.translation import gettext as _

from refund_plugin.errors import RefundPluginError
from refund_plugin.gateways.saleor_refunds import charged_back, listed, movements_of, paid_at, payment_state_of, requested
from refund_plugin.gateways.sales import Sale, SaleLine, SalePayment, SaleUse, UnreadableSale
from refund_plugin.money import Money, allocate, share_of
from refund_plugin.saleor.data import GrantedRefundData, OrderData, OrderLineData, TransactionData

SOURCE = "saleor"  # who tells how often something was downloaded
KEYS = ("refunds.digital", "refunds.nature", "refunds.units", "refunds.unit_name", "refunds.product_type", "refunds.tags")
YES, NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})
MOST_DIGITS = 7  # of a number of units
NO_SALES = frozenset({"DRAFT", "UNCONFIRMED", "EXPIRED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How this Saleor's orders are read.

    Attributes:
        account: slug of the Saleor's own account, to which the payments of other apps belong.
        app_id: of our App there: what it owns belongs to `payment_account`.
        payment_account: slug of the account at which our App's payments were made; "" when it makes none.
        product_types: slugs of the product types that are digital.
        metadata: what a line's metadata must say, all of it, for it to be digital as well; a key without a value must be there.
            Without both, every line that needs no shipping is digital.
    """

    account: str
    app_id: str = ""
    payment_account: str = ""
    product_types: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """The keys of metadata that must be asked for."""
        return [*KEYS, *(key for key in self.metadata if key not in KEYS)]

    def owns(self, transaction: TransactionData) -> bool:
        """Tell whether our App made a transaction, so that its money is at the payment account."""
        return bool(self.payment_account and self.app_id and transaction.app_id == self.app_id)


def sale_of(order: OrderData, rules: Rules) -> Sale | UnreadableSale:
    """Return an order as a sale; what cannot be one says why, in words for people."""
    if order.status in NO_SALES:
        return UnreadableSale(order.id, _("It is not placed yet."), is_nothing=True)
    if order.has_legacy_payments:
        return UnreadableSale(order.id, _("Order %(number)s was paid over Saleor’s old payments API.") % {"number": order.number})
    digital = [line for line in order.lines if is_digital(line, rules)]
    if not digital:
        return UnreadableSale(order.id, _("It has nothing digital in it."), is_nothing=True)
    try:
        return _sale(order, digital, rules)
    except RefundPluginError as error:  # an amount or a currency that we cannot keep
        return UnreadableSale(order.id, f"{order.number}: {error}")


def is_digital(line: OrderLineData, rules: Rules) -> bool:
    """Tell whether a line can be refunded as digital; its own metadata decides before the rules do."""
    said = line.metadata.get("refunds.digital", "").strip().lower()
    if said in YES | NO:
        return said in YES
    if line.is_shipping_required:
        return False
    if line.product_type_slug in rules.product_types:
        return True
    if not rules.metadata:
        return not rules.product_types
    return all(key in line.metadata and value in ("", line.metadata[key]) for key, value in rules.metadata.items())


def _sale(order: OrderData, digital: Sequence[OrderLineData], rules: Rules) -> Sale:
    paid = _paid_by_line(order)
    return Sale(
        source_id=order.id,
        kind="order",
        number=order.number,
        email=order.user_email,
        name=order.user_name,
        country=order.country,
        currency=order.currency,
        purchased_at=order.created,
        lines=tuple(_line(line, paid[line.id]) for line in digital),
        payments=tuple(payment for item in order.transactions if (payment := _payment(item, order.granted_refunds, rules)) is not None),
        locale=order.language_code.lower().replace("_", "-"),
        channel=order.channel_slug,
        kept={"saleor_order": order.id, **({"saleor_customer": order.user_id} if order.user_id else {}), **_vouchers(order)},
        uses=tuple(
            SaleUse(line=line.id, source=SOURCE, downloads=line.downloads.count, since=line.downloads.created)
            for line in digital
            if line.downloads is not None and line.downloads.count > 0
        ),
    )


def _vouchers(order: OrderData) -> dict[str, str]:
    told = {"saleor_voucher": order.voucher_code, "saleor_gift_cards": str(order.gift_cards_used) if order.gift_cards_used else ""}
    return {key: value for key, value in told.items() if value}


def _paid_by_line(order: OrderData) -> dict[str, Money]:
    """Return what was paid for each line, in money.

    Saleor's totals of lines hold the discounts of lines and, from where it spreads them, those of the order. What is left between
    the lines and the order's total without shipping (a discount of the whole order, a gift card) is taken off all lines in proportion,
    so that lines never add up to more than the order cost.
    """
    listed_prices = [max(0, Money.from_decimal(line.total_gross, order.currency).minor) for line in order.lines]
    cost = max(0, Money.from_decimal(order.total_gross - order.shipping_gross, order.currency).minor)
    shares = allocate(min(cost, sum(listed_prices)), listed_prices)
    return {line.id: Money(share, order.currency) for line, share in zip(order.lines, shares, strict=True)}


def _line(line: OrderLineData, paid: Money) -> SaleLine:
    told = line.metadata
    units = told.get("refunds.units", "")
    return SaleLine(
        source_id=line.id,
        name=line.product_name if line.variant_name in ("", line.product_name) else f"{line.product_name} ({line.variant_name})",
        sku=line.sku or line.variant_id or line.id,
        quantity=line.quantity,
        paid=paid,
        tax=_tax_within(line, paid),
        tax_rate_percent=round(line.tax_rate * 100, 3) + Decimal(0),
        units_granted=int(units) * line.quantity if units.isdecimal() and len(units) < MOST_DIGITS else None,
        unit_name=told.get("refunds.unit_name", ""),
        product_type=told.get("refunds.product_type") or line.product_type_slug,
        categories=line.category_slugs,
        tags=(*line.collection_slugs, *(word.strip() for word in told.get("refunds.tags", "").split(",") if word.strip())),
        nature=told["refunds.nature"] if told.get("refunds.nature") in ("content", "service") else "",
        metadata={"saleor_line": line.id},
    )


def _tax_within(line: OrderLineData, paid: Money) -> Money:
    """Return the tax within what was paid, as it is within the line's price."""
    price = Money.from_decimal(line.total_gross, paid.currency).minor
    tax = Money.from_decimal(line.total_gross - line.total_net, paid.currency).minor
    return Money(share_of(max(0, tax), paid.minor, price) if price > 0 else 0, paid.currency)


def _payment(transaction: TransactionData, grants: Sequence[GrantedRefundData], rules: Rules) -> SalePayment | None:
    """Return a transaction as a payment; None for one that never held money."""
    movements = movements_of(transaction, grants)
    state = payment_state_of(transaction, movements)
    if not state.captured.minor or state.is_canceled:
        return None
    ours = rules.owns(transaction)
    moved = bool(requested(movements)) or charged_back(transaction) > 0
    return SalePayment(
        gateway_payment_id=transaction.psp_reference if ours and transaction.psp_reference else transaction.id,
        captured=state.captured,
        is_captured=state.is_captured,
        method=state.method,
        brand=state.brand,
        last4=state.last4,
        paid_at=paid_at(transaction) if state.is_captured else None,
        # of ours Saleor knows what it was told; the gateway where the money is knows better
        has_history=(moved or None) if ours else moved,
        account=rules.payment_account if ours and transaction.psp_reference else rules.account,
        metadata={"saleor_transaction": transaction.id},
        refunds=() if ours else tuple(listed(movement, transaction=transaction) for movement in requested(movements)),
    )
