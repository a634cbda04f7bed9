"""Thousands of refunds that wait to be sent, in seconds.

One request is made through the product's own services, and its rows are copied in the database with new ids: whatever
columns they have, the copies are as consistent as the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model, Q

from refund_plugin import clock
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.refunds.ledger.models import LedgerEntry
from refund_plugin.refunds.models import Allocation, Decision, Refund, RefundRequest, RequestLine
from refund_plugin.rules import MoneyBack
from refund_plugin.stores.services import ensure_default_store
from tests.factories import EBOOK, line_with, make_purchase, publish_policy
from tests.faults.world import Scene
from tests.refunds.helpers import ask

AMOUNT = EBOOK.paid_minor
PAYMENTS_AT_ONCE = 1000


def publish(scene: Scene) -> None:
    """Publish a policy that gives everybody everything back."""
    ensure_default_store()
    ensure_accounts()
    publish_policy(clauses=[MoneyBack(anchor="guarantee", window_days=60)], now=clock.now() - timedelta(days=2000))


def buy(scene: Scene, *, lines: Sequence[int] = (AMOUNT,), payments: Sequence[int] | None = None) -> Purchase:
    """Record a purchase with a line for each amount, paid at the sandbox (by one payment, or one for each amount given)."""
    purchase = make_purchase(
        lines=[line_with(EBOOK, sku=f"EBOOK-{number}", paid_minor=amount, tax_minor=0) for number, amount in enumerate(lines)],
        payments=payments,
        purchased_at=clock.now() - timedelta(days=6),
    )
    pay(scene, {payment.gateway_payment_id: payment.captured_minor for payment in purchase.payments.all()})
    return purchase


def pay(scene: Scene, amounts: Mapping[str, int]) -> None:
    """Make the payments exist at the sandbox: amounts by payment id."""
    names: dict[int, list[str]] = {}
    for name, amount in amounts.items():
        names.setdefault(amount, []).append(name)
    for amount, ids in names.items():
        for start in range(0, len(ids), PAYMENTS_AT_ONCE):
            scene.sandbox.post("payments/bulk", amount=amount, currency="eur", ids=ids[start : start + PAYMENTS_AT_ONCE])


def reserve(scene: Scene, count: int, *, whole: bool = False) -> list[UUID]:
    """Make `count` approved requests of one refund each, none of them sent; return the refunds' ids.

    Args:
        whole: the refund is all that was paid; else it is half of it. A gateway notices by itself when a whole payment is
            refunded a second time, and pays a part a second time without a word.
    """
    if not Purchase.objects.exists():
        publish(scene)
    first = buy(scene, lines=[AMOUNT] if whole else [AMOUNT, AMOUNT])
    accounts = GatewayAccount.objects.filter(pk=first.payments.get().account_id)
    accounts.update(on_hold=True)  # so that no worker sends the first before it is copied
    request = ask(first, {first.lines.all()[0]: 1}, now=clock.now())
    refund = Refund.objects.select_related("payment").get(request=request)
    if count > 1:
        with transaction.atomic():
            _copy(refund, count - 1)
    copies = Payment.objects.filter(purchase__number__startswith=f"{first.number}-")
    pay(scene, dict(copies.values_list("gateway_payment_id", "captured_minor")))
    accounts.update(on_hold=False)
    return list(Refund.objects.filter(Q(pk=refund.pk) | Q(payment__in=copies)).order_by("due_at", "id").values_list("pk", flat=True))


def sell(scene: Scene, count: int) -> list[Purchase]:
    """Make `count` purchases of one line each, paid at the sandbox, for which nobody has asked anything yet."""
    publish(scene)
    first = buy(scene)
    if count > 1:
        with transaction.atomic():
            _copy_purchase(first, count - 1)
    pay(scene, dict(Payment.objects.exclude(purchase=first).values_list("gateway_payment_id", "captured_minor")))
    return list(Purchase.objects.order_by("id"))


def _copy_purchase(purchase: Purchase, count: int) -> None:
    """Fill the table `copies`, which tells the other rows' copies where they belong, and copy a purchase of one payment."""
    payment = purchase.payments.get()
    line, *other = purchase.lines.all()
    with connection.cursor() as cursor:
        numbers = {"purchase_id": Purchase, "line_id": PurchaseLine, "payment_id": Payment, "decision_id": Decision}
        columns = ", ".join(f"n + {_next(model, count)} AS {name}" for name, model in numbers.items())
        cursor.execute(
            f"CREATE TEMP TABLE copies ON COMMIT DROP AS SELECT n, gen_random_uuid() AS refund, gen_random_uuid() AS request, {columns} "
            f"FROM generate_series(1, {count}) AS n"
        )
    _clone(Purchase, purchase.pk, id="purchase_id", number=f"'{purchase.number}-' || n")
    _clone(PurchaseLine, line.pk, id="line_id", purchase_id="purchase_id")
    for left in other:
        _clone(PurchaseLine, left.pk, id=f"n + {_next(PurchaseLine, count)}", purchase_id="purchase_id")
    _clone(Payment, payment.pk, id="payment_id", purchase_id="purchase_id", gateway_payment_id=f"'{payment.gateway_payment_id}_' || n")


def _copy(refund: Refund, count: int) -> None:
    request = refund.request
    assert request is not None
    _copy_purchase(request.purchase, count)
    _clone(
        RefundRequest,
        request.pk,
        id="request",
        reference="'R-' || upper(substr(replace(request::text, '-', ''), 1, 10))",
        purchase_id="purchase_id",
        submission_key=f"'{request.submission_key}-' || n",
        tracking_nonce="replace(request::text, '-', '')",
    )
    decision = refund.decision
    assert decision is not None
    _clone(Decision, decision.pk, id="decision_id", request_id="request", amounts=f"jsonb_build_object(line_id::text, {AMOUNT})")
    _clone(
        Refund,
        refund.pk,
        id="refund",
        request_id="request",
        decision_id="decision_id",
        payment_id="payment_id",
        idempotency_key="'refund-' || refund",
    )
    for model, found, changes in (
        (RequestLine, request.lines.get(), {"request_id": "request", "line_id": "line_id"}),
        (Allocation, refund.allocations.get(), {"refund_id": "refund", "line_id": "line_id"}),
    ):
        _clone(model, found.pk, id=f"n + {_next(model, count)}", **changes)
    table = LedgerEntry._meta.db_table
    with connection.cursor() as cursor:  # all at once, because the database looks whether what is added balances
        cursor.execute(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(t) || jsonb_build_object("
            f"'id', nextval(pg_get_serial_sequence('{table}', 'id')), 'movement', md5(t.movement::text || n)::uuid, "
            f"'refund_id', copies.refund, 'payment_id', copies.payment_id))).* FROM copies, {table} t WHERE t.refund_id = %s",
            [refund.pk],
        )


def _next(model: type[Model], count: int) -> int:
    """Take `count` numbers from a table's sequence and return the one before them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), nextval(pg_get_serial_sequence(%s, 'id')) + %s)",
            [model._meta.db_table, model._meta.db_table, count],
        )
        return int(cursor.fetchone()[0]) - count


def _clone(model: type[Model], pk: object, **changes: str) -> None:
    """Copy a row once for each row of `copies`; `changes` are SQL expressions by column."""
    table = model._meta.db_table
    changed = ", ".join(f"'{column}', {expression}" for column, expression in changes.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, "
            f"(SELECT to_jsonb(t) FROM {table} t WHERE id = %s) || jsonb_build_object({changed}))).* FROM copies",
            [pk],
        )
