"""Record what was bought and paid."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import ProtectedError, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput, WrongState
from refund_plugin.events import services as events
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import default_account
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData, Recorded
from refund_plugin.orders.events import purchase_list_asked
from refund_plugin.orders.models import Customer, Payment, Purchase, PurchaseLine
from refund_plugin.orders.queries import clean_email
from refund_plugin.orders.validation import check_purchase
from refund_plugin.stores.models import Store

logger = logging.getLogger(__name__)

PaymentName = tuple[int, bool, str]
RACES = 3
FRESH = timedelta(hours=1)  # what was captured since then has no history: its refunds and disputes are told by webhooks


def record_purchase(*, store: Store, data: PurchaseData, now: datetime) -> tuple[Purchase, bool]:
    """Record an order, or bring its record up to date; telling the same order twice changes nothing.

    Returns:
        The purchase, and whether it is new.
    Raises:
        InvalidInput: a value cannot be used; `field` names it, such as `lines.0.quantity`.
        WrongState: the data differ from the record and money was already refunded or is on its way; they name another user; or
            another customer, and no payment that the record has.
    """
    [(purchase, recorded)] = record_purchases(store=store, items=[data], now=now)
    return purchase, recorded is Recorded.CREATED


def record_purchases(*, store: Store, items: Sequence[PurchaseData], now: datetime) -> list[tuple[Purchase, Recorded]]:
    """Record several orders of one store, all or none, in a number of statements that does not grow with new orders.

    Lines are matched to their records by SKU, payments by the gateway's id.

    Args:
        items: each order number at most once.
    Raises:
        InvalidInput, WrongState: as in `record_purchase`; nothing was written.
    """
    checked = [check_purchase(item, now=now) for item in items]
    for _race in range(RACES):
        # someone else may record the same order or customer at this very moment: then it can be seen the next time
        with suppress(IntegrityError), transaction.atomic():
            return _do_record(store, checked, now)
    with transaction.atomic():
        return _do_record(store, checked, now)


def _do_record(store: Store, items: Sequence[PurchaseData], now: datetime) -> list[tuple[Purchase, Recorded]]:
    accounts = _accounts(items)
    names = {item.number: [_payment_name(accounts, payment, index) for index, payment in enumerate(item.payments)] for item in items}
    # lock order: purchases, then what hangs on them
    existing = {
        purchase.number: purchase
        for purchase in Purchase.objects.select_for_update(of=("self",))
        .filter(store=store, number__in=list(names))
        .select_related("customer")
        .prefetch_related("lines", "payments")
        .order_by("pk")
    }
    _refuse_foreign_payments(store, names)
    customers, users = _customers(store, items), _users(items)
    recorded = {
        item.number: _do_update(existing[item.number], item, names[item.number], customers[item.email], users.get(item.user_id), now)
        for item in items
        if item.number in existing
    }
    new = [item for item in items if item.number not in existing]
    created = _do_create(store, new, names, customers, users, now) if new else {}
    return [(existing.get(item.number) or created[item.number], recorded.get(item.number, Recorded.CREATED)) for item in items]


def _accounts(items: Sequence[PurchaseData]) -> Mapping[str, GatewayAccount]:
    """Return the accounts that the payments name, by slug; an empty slug means the default account."""
    slugs = {payment.account for item in items for payment in item.payments}
    accounts = {account.slug: account for account in GatewayAccount.objects.filter(slug__in=slugs)} if slugs - {""} else {}
    if "" in slugs:
        accounts[""] = default_account()
    return accounts


def _payment_name(accounts: Mapping[str, GatewayAccount], payment: PaymentData, index: int) -> PaymentName:
    account = accounts.get(payment.account)
    if account is None:
        raise InvalidInput(
            _("Unknown gateway account “%(slug)s”: use a key of REFUND_PLUGIN['GATEWAYS'].") % {"slug": payment.account},
            field=f"payments.{index}.account",
        )
    if payment.livemode not in (None, account.livemode):
        raise InvalidInput(
            _("The payment and its gateway account are not in the same mode (live or test)."), field=f"payments.{index}.livemode"
        )
    return account.pk, account.livemode, payment.gateway_payment_id


def _refuse_foreign_payments(store: Store, names: Mapping[str, Sequence[PaymentName]]) -> None:
    """Refuse a payment that already belongs to another order, here or in the same call."""
    owner: dict[PaymentName, str] = {}
    for number, its_names in names.items():
        for index, name in enumerate(its_names):
            if owner.setdefault(name, number) != number:
                raise _foreign_payment(name, owner[name], index)
    if not owner:
        return
    wanted = Q(gateway_payment_id__in={name[2] for name in owner}, account_id__in={name[0] for name in owner})
    for payment in Payment.objects.filter(wanted).select_related("purchase"):
        name = (payment.account_id, payment.livemode, payment.gateway_payment_id)
        wanted_by = owner.get(name)
        if wanted_by is not None and (payment.purchase.store_id, payment.purchase.number) != (store.pk, wanted_by):
            raise _foreign_payment(name, payment.purchase.number, names[wanted_by].index(name))


def _foreign_payment(name: PaymentName, number: str, index: int) -> InvalidInput:
    return InvalidInput(
        _("The payment %(payment)s already belongs to order %(number)s.") % {"payment": name[2], "number": number},
        field=f"payments.{index}.gateway_payment_id",
    )


def _customers(store: Store, items: Sequence[PurchaseData]) -> Mapping[str, Customer]:
    """Return the customer of every address, made or filled in; what is known stays, because anybody can type an address."""
    known = {customer.email: customer for customer in Customer.objects.filter(store=store, email__in={item.email for item in items})}
    changed: dict[str, Customer] = {}
    for item in items:
        customer = known.setdefault(item.email, Customer(store=store, email=item.email))
        told = {"name": item.customer_name, "locale": item.locale}
        news = {name: value for name, value in told.items() if value and not getattr(customer, name)}
        for name, value in news.items():
            setattr(customer, name, value)
        if news or customer.pk is None:
            changed[item.email] = customer
    # by address: two who make the same customers at once wait for each other instead of locking each other out
    new = sorted((customer for customer in changed.values() if customer.pk is None), key=lambda customer: customer.email)
    old = [customer for customer in changed.values() if customer.pk is not None]
    Customer.objects.bulk_create(new)
    if old:
        Customer.objects.bulk_update(old, ["name", "locale"])
    return known


def _users(items: Sequence[PurchaseData]) -> Mapping[object, Any]:
    """Return the primary keys of the users that exist, by what was given."""
    given = {item.user_id for item in items if item.user_id not in (None, "")}
    if not given:
        return {}
    user_model = get_user_model()
    try:
        keys = {value: user_model._meta.pk.to_python(value) for value in given}
    except ValidationError:
        keys = {}
    there = set(user_model._default_manager.filter(pk__in=keys.values()).values_list("pk", flat=True)) if keys else set()
    if any(keys.get(value) not in there for value in given):
        raise InvalidInput(_("There is no user with this id."), field="user_id")
    return keys


def _do_create(
    store: Store,
    items: Sequence[PurchaseData],
    names: Mapping[str, Sequence[PaymentName]],
    customers: Mapping[str, Customer],
    users: Mapping[object, Any],
    now: datetime,
) -> dict[str, Purchase]:
    purchases = Purchase.objects.bulk_create(
        Purchase(
            store=store,
            number=item.number,
            customer=customers[item.email],
            user_id=users.get(item.user_id),
            metadata=dict(item.metadata),
            **_purchase_fields(item),
        )
        for item in items
    )
    pairs = list(zip(purchases, items, strict=True))
    PurchaseLine.objects.bulk_create(
        PurchaseLine(purchase=purchase, position=position, metadata=dict(line.metadata), **_line_fields(line))
        for purchase, item in pairs
        for position, line in enumerate(item.lines)
    )
    Payment.objects.bulk_create(
        _new_payment(purchase, name, payment, now)
        for purchase, item in pairs
        for name, payment in zip(names[item.number], item.payments, strict=True)
    )
    return {purchase.number: purchase for purchase in purchases}


def _do_update(
    purchase: Purchase, item: PurchaseData, names: Sequence[PaymentName], customer: Customer, user_id: Any, now: datetime
) -> Recorded:
    """Bring one record up to date, unless money has moved."""
    linked = _do_link(purchase, user_id)
    old_lines = defaultdict(list)
    lines = list(purchase.lines.all())
    for line in lines:
        old_lines[line.sku].append(line)
    pairs = [(old_lines[data.sku].pop(0) if old_lines[data.sku] else None, data) for data in item.lines]
    gone_lines = [line for rest in old_lines.values() for line in rest]
    old_payments = {(p.account_id, p.livemode, p.gateway_payment_id): p for p in purchase.payments.all()}
    payments = [(old_payments.pop(name, None), name, data) for name, data in zip(names, item.payments, strict=True)]

    shared = any(row is not None for row, _name, _data in payments)
    if purchase.customer_id != customer.pk and not shared and (payments or old_payments):
        _refuse_takeover(purchase)
    purchase_news = _news(purchase, {"customer_id": customer.pk, **_purchase_fields(item)}) | _more_metadata(purchase, item.metadata)
    line_news = [(line, _news(line, _line_fields(data)) | _more_metadata(line, data.metadata)) for line, data in pairs if line is not None]
    payment_news = [
        (row, _news(row, {"currency": item.currency, **_payment_fields(data)}) | _more_metadata(row, data.metadata))
        for row, _name, data in payments
        if row
    ]
    new_lines = [data for line, data in pairs if line is None]
    new_payments = [(name, data) for row, name, data in payments if row is None]
    news = [entry for entry in [(purchase, purchase_news), *line_news, *payment_news] if entry[1]]
    if not (news or new_lines or new_payments or gone_lines or old_payments):
        return Recorded.UPDATED if linked else Recorded.UNCHANGED
    if _money_moved(lines, purchase.payments.all()):
        raise WrongState(
            _("Money of order %(number)s was already refunded or is on its way, so its record can no longer change.")
            % {"number": purchase.number},
            field="number",
        )
    try:
        for row in [*gone_lines, *old_payments.values()]:
            row.delete()
    except ProtectedError:
        raise WrongState(
            _("A line of order %(number)s was used or a refund was asked for it, so it cannot be taken out of the order.")
            % {"number": purchase.number},
            field="lines",
        ) from None
    for row, its_news in news:
        for name, value in its_news.items():
            setattr(row, name, value)
        row.save(update_fields=list(its_news))
    position = max((line.position for line in lines), default=-1) + 1
    PurchaseLine.objects.bulk_create(
        PurchaseLine(purchase=purchase, position=position + index, metadata=dict(data.metadata), **_line_fields(data))
        for index, data in enumerate(new_lines)
    )
    Payment.objects.bulk_create(_new_payment(purchase, name, data, now) for name, data in new_payments)
    purchase.customer = customer
    # what was read ahead is stale now
    vars(purchase).pop("_prefetched_objects_cache", None)
    return Recorded.UPDATED


def _refuse_takeover(purchase: Purchase) -> NoReturn:
    """Buyers can choose a number, such as in Stripe's payment links: it alone must not hand one buyer's order to another."""
    logger.warning("purchase %s was told again for another customer and another payment, and stays as it is", purchase.pk)
    message = _("Order %(number)s is recorded for another e-mail address and another payment; another order needs another number.")
    raise WrongState(message % {"number": purchase.number}, field="number")


def _do_link(purchase: Purchase, user_id: Any) -> bool:
    """Link a purchase without a user to this one, whether or not money has moved; tell whether that changed anything."""
    if user_id is None or purchase.user_id == user_id:
        return False
    if purchase.user_id is not None:
        raise WrongState(
            _("Order %(number)s belongs to another user already and cannot be handed over.") % {"number": purchase.number},
            field="user_id",
        )
    purchase.user_id = user_id
    purchase.save(update_fields=["user"])
    return True


def _money_moved(lines: Iterable[PurchaseLine], payments: Iterable[Payment]) -> bool:
    return any(line.held_minor or line.gone_minor for line in lines) or any(
        payment.held_minor or payment.gone_minor or payment.disputed_minor for payment in payments
    )


def _news(row: models.Model, told: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in told.items() if getattr(row, name) != value}


def _more_metadata(row: Purchase | PurchaseLine | Payment, told: Mapping[str, str]) -> dict[str, object]:
    """Return the row's metadata with what is told, if that is news; what others keep there stays."""
    merged = {**row.metadata, **told}
    return {"metadata": merged} if merged != row.metadata else {}


def _purchase_fields(item: PurchaseData) -> dict[str, object]:
    return {
        "currency": item.currency,
        "purchased_at": item.purchased_at,
        "buyer_kind": item.buyer_kind,
        "country": item.country,
        "channel": item.channel,
    }


def _line_fields(line: LineData) -> dict[str, object]:
    return {
        "sku": line.sku,
        "name": line.name,
        "product_type": line.product_type,
        "categories": list(line.categories),
        "tags": list(line.tags),
        "nature": line.nature,
        "quantity": line.quantity,
        "paid_minor": line.paid_minor,
        "tax_minor": line.tax_minor,
        "tax_rate_percent": line.tax_rate_percent,
        "term_start": line.term_start,
        "term_end": line.term_end,
        "units_granted": line.units_granted,
        "unit_name": line.unit_name,
    }


def _payment_fields(payment: PaymentData) -> dict[str, object]:
    optional = ("is_captured", "settlement_minor", "settlement_currency", "fee_minor", "subscription_id", "invoice_id")
    return {
        "captured_minor": payment.captured_minor,
        "method": payment.method,
        "brand": payment.brand,
        "last4": payment.last4,
        "captured_at": payment.captured_at,
        **{name: value for name in optional if (value := getattr(payment, name)) not in (None, "")},
    }


def _new_payment(purchase: Purchase, name: PaymentName, payment: PaymentData, now: datetime) -> Payment:
    account_id, livemode, gateway_payment_id = name
    is_old = (payment.captured_at or purchase.purchased_at) < now - FRESH
    return Payment(
        purchase=purchase,
        account_id=account_id,
        livemode=livemode,
        gateway_payment_id=gateway_payment_id,
        currency=purchase.currency,
        metadata=dict(payment.metadata),
        history_due_at=Now() if (is_old if payment.has_history is None else payment.has_history) else None,
        **_payment_fields(payment),
    )


def ask_for_purchase_list(*, store: Store, email: str, now: datetime) -> None:
    """Ask that a customer's purchases are mailed to them.

    Whether the store knows the address never shows: both cases run the same statements, and the mail is sent in the
    background by a subscriber of the event.
    """
    email = clean_email(email)
    with transaction.atomic():
        customer = Customer.objects.filter(store=store, email=email[:254].replace("\x00", "")).only("pk").first()
        events.record(purchase_list_asked(store_id=store.pk, customer_id=customer.pk if customer else None), now=now)
