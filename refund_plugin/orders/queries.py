"""Reads of purchases and of the access ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db.models import Aggregate, Max, Q, QuerySet, Sum

from refund_plugin.errors import NotFound
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.data import Usage, UsageByLine
from refund_plugin.orders.models import SALEOR_CUSTOMER, SALEOR_ORDER, AccessEvent, AccessKind, Customer, Payment, Purchase, PurchaseLine
from refund_plugin.stores.models import Store

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def clean_number(number: str) -> str:
    """Return an order number as it is stored: no spaces around it and no leading "#"."""
    return number.strip().removeprefix("#").strip()


def clean_email(email: str) -> str:
    """Return an e-mail address as it is stored and compared: trimmed, lower case."""
    return email.strip().lower()


def find_purchase(*, store_slug: str, number: str, email: str) -> Purchase:
    """Return the purchase with this number that was bought with this address, with its customer and store.

    One statement asks for both at once, so an unknown number and a wrong address do the same work and get the same answer.
    The number is compared without regard to case; an exact match wins over another one.

    Raises:
        NotFound: unknown number or wrong address, which read the same.
    """
    number, email = clean_number(number), clean_email(email)
    if not _askable(number) or not _askable(email):
        raise NotFound
    alike = Purchase.objects.filter(store__slug=store_slug, customer__email=email, number__iexact=number)
    # few numbers differ in nothing but their case, so what is found is put in order here
    purchase = max(
        alike.select_related("customer", "store"), key=lambda found: (found.number == number, found.purchased_at, found.pk), default=None
    )
    if purchase is None:
        raise NotFound
    return purchase


def find_payment(*, account: GatewayAccount, gateway_payment_id: str, charge_id: str = "") -> Payment | None:
    """Return the payment of an account with this name, or else with its other one, by which an order may have told it."""
    names = [name for name in (gateway_payment_id, charge_id) if name]
    payments = Payment.objects.filter(account=account, livemode=account.livemode, gateway_payment_id__in=names)
    return min(payments, key=lambda payment: names.index(payment.gateway_payment_id), default=None)


def _askable(value: str) -> bool:
    # PostgreSQL refuses NUL in text and what is no UTF-8, and nothing stored is longer
    return 0 < len(value) <= 254 and not any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in value)


def _with_parts(purchases: QuerySet[Purchase]) -> QuerySet[Purchase]:
    return purchases.select_related("customer", "store").prefetch_related("lines").order_by("-purchased_at", "-id")


def purchases_of_customer(customer: Customer) -> QuerySet[Purchase]:
    """Return a customer's purchases, newest first, with their lines."""
    return _with_parts(Purchase.objects.filter(customer=customer))


def owned_by_user(user: AbstractBaseUser) -> Q:
    """Return the condition on purchases that the host linked to `user`."""
    return Q(user_id=user.pk)


def owned_by_saleor_customer(*, store: Store, user_id: str) -> Q:
    """Return the condition on purchases in a Saleor's store that belong to one of its customers, by their global id; met over an index."""
    return Q(store=store, **{f"metadata__{SALEOR_CUSTOMER}": user_id})


def purchases_owned(owned: Q, *, store_slug: str) -> QuerySet[Purchase]:
    """Return the purchases in a store that meet a condition such as `owned_by_user`, newest first, with their lines."""
    return _with_parts(Purchase.objects.filter(owned, store__slug=store_slug))


def purchases_of_user(user: AbstractBaseUser, store: Store) -> QuerySet[Purchase]:
    """Return the purchases in `store` that the host linked to `user`, newest first, with their lines."""
    return _with_parts(Purchase.objects.filter(owned_by_user(user), store=store))


def purchase_of_saleor_order(*, store: Store, order_id: str) -> Purchase | None:
    """Return what was recorded of a Saleor's order, by the order's global id; found over an index."""
    found = Purchase.objects.filter(store=store, **{f"metadata__{SALEOR_ORDER}": order_id})
    return found.select_related("customer", "store").first()


def usage_of(lines: Iterable[PurchaseLine]) -> UsageByLine:
    """Return how much each line was used, in one query; a line without facts has an empty `Usage`."""
    ids = [line.pk for line in lines]
    if not ids:
        return {}
    rows = AccessEvent.objects.filter(line_id__in=ids).order_by().values("line_id").annotate(**_usage_columns(""))
    found = {row["line_id"]: _usage(row) for row in rows}
    return {line_id: found.get(line_id, Usage()) for line_id in ids}


def lines_with_usage(purchase: Purchase) -> list[tuple[PurchaseLine, Usage]]:
    """Return the lines of a purchase in their order, each with how much it was used, in one query."""
    lines = PurchaseLine.objects.filter(purchase=purchase).annotate(**_usage_columns("access_events__")).order_by("position", "id")
    return [(line, _usage(vars(line))) for line in lines]


@cache
def _usage_columns(prefix: str) -> dict[str, Aggregate]:
    """Return the aggregates over access events that are reached through `prefix`; each is null without an event that counts."""
    counts = Q(**{f"{prefix}correction__isnull": True})

    def total(kind: AccessKind) -> Sum:
        return Sum(f"{prefix}amount", filter=counts & Q(**{f"{prefix}kind": kind}))

    watched = counts & Q(**{f"{prefix}kind__in": [AccessKind.VIEWED, AccessKind.STREAMED]})
    return {
        "downloads": total(AccessKind.DOWNLOADED),
        "share_viewed": Max(f"{prefix}amount", filter=watched),
        "activations": total(AccessKind.ACTIVATED),
        "units_used": total(AccessKind.CONSUMED),
        "last_access_at": Max(f"{prefix}occurred_at", filter=counts),
    }


def _usage(row: Mapping[str, Any]) -> Usage:
    return Usage(
        downloads=row["downloads"] or 0,
        share_viewed_percent=min(100, row["share_viewed"] or 0),
        activations=row["activations"] or 0,
        units_used=row["units_used"] or 0,
        last_access_at=row["last_access_at"],
    )
