"""Refunds that somebody with authority asks for in the store's own back office, such as Saleor's dashboard.

They go through the same guard as all others: one lock on the purchase, the balances of payment and lines, and nothing while the
bank decides about the payment. What is asked is paid or refused, never clamped; asked again, it is the same refund.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from refund_plugin.actor import Actor
from refund_plugin.errors import InvalidInput, RefundPluginError, WrongState
from refund_plugin.events import doorbell
from refund_plugin.events.services import record
from refund_plugin.money import Money, allocate, share_of
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.policies.queries import version_in_force
from refund_plugin.refunds import events
from refund_plugin.refunds.execute import why_stopped
from refund_plugin.refunds.locks import lock_purchase
from refund_plugin.refunds.models import (
    Decision,
    DecisionOutcome,
    Refund,
    RefundOrigin,
    RefundRequest,
    RequestLine,
    RequestReason,
)
from refund_plugin.refunds.quote import amount_step, sendable_payments
from refund_plugin.refunds.reserve import LineGrant
from refund_plugin.refunds.retry import RESTORED, do_supersede
from refund_plugin.refunds.services import ALPHABET, do_send
from refund_plugin.refunds.states import OVER, RequestState
from refund_plugin.refunds.telling.models import StoreAsk, StoreTelling
from refund_plugin.refunds.telling.services import do_expect
from refund_plugin.stores.models import Store

MAX_REFUSAL = 512  # what Saleor keeps of a message
NAMESPACE = uuid.UUID("6f1c8a52-3e0b-5d0e-9a41-0d1f3c7e2b94")


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What the store is answered.

    Attributes:
        refund: whose state tells how it stands; None when it was refused.
        reference: what the refund goes by in the store's books.
        refusal: for the store's staff, at most 512 characters; "" when it was not refused.
    """

    refund: Refund | None
    reference: UUID | None
    refusal: str = ""


def reference_of(*, store: Store, ask_key: str) -> UUID:
    """Return what the refund that a wish begins is called: known before it is made, and the same whenever the wish is repeated."""
    return uuid.uuid5(NAMESPACE, f"{store.pk}:{ask_key}")


def answer_of(*, store: Store, ask_key: str, payment: Payment) -> StoreAnswer | None:
    """Return what a wish about a payment was answered; None when it surely was not, because whoever did is waited for."""
    with transaction.atomic(durable=True):
        lock_purchase(payment.purchase_id)
        ask = StoreAsk.objects.select_related("refund").filter(store=store, key=ask_key).first()
        return _answer(ask) if ask is not None else None


def refund_from_store(
    *,
    store: Store,
    payment: Payment,
    amount: Money,
    lines: Mapping[int, int],
    ask_key: str,
    debt: str,
    reason: str,
    by: Actor,
    now: datetime,
    known: Collection[str] = (),
) -> StoreAnswer:
    """Begin the refund that the store's own staff asked for, or return the one that they asked for before.

    A wish that comes again (same `ask_key`) gets the answer it got. A new wish for the same debt is the same refund while that one
    is alive, and tries it again once it has failed; a refund that the store never learned of (its reference is not in `known`)
    is the same debt, too: the store believed that it had failed.

    Args:
        payment: of a purchase of this store.
        amount: paid back as a whole or not at all.
        lines: units by line id, as far as the store said; see `spread`.
        ask_key: the store's name of this one wish, unique for good.
        debt: the store's name of what is paid by it (a refund granted there), which may be wished for again; "" for none.
        reason: recorded with the decision.
        known: the references that the store had written down for this payment when it asked.
        now: UTC.
    """
    with transaction.atomic(durable=True):
        purchase = lock_purchase(payment.purchase_id)
        earlier = StoreAsk.objects.select_related("refund").filter(store=store, key=ask_key).first()
        if earlier is not None:
            return _answer(earlier)
        ask = StoreAsk(store=store, payment=payment, key=ask_key, debt=debt, amount_minor=amount.minor, asked_at=now)
        try:
            with transaction.atomic():
                payment = Payment.objects.select_related("account").get(pk=payment.pk, purchase__store=store)
                same = _same_debt(store=store, payment=payment, amount=amount, debt=debt, known=known)
                if same is None:
                    ask.refund = _do_begin(purchase, payment, ask, amount, lines, reason=reason, by=by, now=now)
                else:
                    ask.refund = _do_go_on(same, ask, amount, reason=reason, by=by, now=now)
                do_expect(ask.refund, now=now)
        except RefundPluginError as error:
            ask.refund, ask.refusal = None, str(error)[:MAX_REFUSAL]
        ask.save(force_insert=True)
    return _answer(ask)


def _answer(ask: StoreAsk) -> StoreAnswer:
    if ask.refund is None:
        return StoreAnswer(None, None, ask.refusal)
    # a retry on our side goes by the name of what it follows
    entries = StoreTelling.objects.select_related("current").filter(refund=ask.refund)
    telling = entries.first() or StoreTelling.objects.select_related("current").get(current=ask.refund)
    return StoreAnswer(telling.current, telling.refund_id)


def _same_debt(*, store: Store, payment: Payment, amount: Money, debt: str, known: Collection[str]) -> Refund | None:
    """Return the last refund of the debt that is asked for again; None for a new one."""
    asks = StoreAsk.objects.filter(store=store, payment=payment, debt=debt, refund__isnull=False).order_by("-pk")
    if debt:
        ask = asks.select_related("refund").first()
        return _last(ask.refund) if ask is not None and ask.refund is not None else None
    for ask in asks.filter(amount_minor=amount.minor).select_related("refund"):
        assert ask.refund is not None
        answer, last = _answer(ask), _last(ask.refund)
        if str(answer.reference) not in known or (last.state in OVER and last.owed):
            return last
    return None


def _last(refund: Refund) -> Refund:
    while successor := Refund.objects.filter(supersedes=refund).first():
        refund = successor
    return refund


def _do_go_on(last: Refund, ask: StoreAsk, amount: Money, *, reason: str, by: Actor, now: datetime) -> Refund:
    """Return the refund of a debt that is asked for again: as it stands, or another try where it has failed."""
    if last.amount != amount:
        text = _("This was asked for as %(before)s first, and an amount is never changed afterwards. Grant a new refund of %(now)s.")
        raise InvalidInput(text % {"before": last.amount, "now": amount}, field="amount")
    if last.state not in OVER:
        return last
    if not last.owed:
        raise WrongState(_("This refund was taken back or given up here. If it is still right, grant a new one."))
    if last.list_first:
        raise WrongState(RESTORED)
    _check_may_send(last.payment)
    successor = do_supersede(
        last, origin=RefundOrigin.STAFF, by=by, reason=reason, now=now, refund_id=reference_of(store=ask.store, ask_key=ask.key)
    )
    doorbell.ring(events.DRIVE)
    return successor


def _do_begin(
    purchase: Purchase,
    payment: Payment,
    ask: StoreAsk,
    amount: Money,
    lines: Mapping[int, int],
    *,
    reason: str,
    by: Actor,
    now: datetime,
) -> Refund:
    """Make a request that is approved by the store's staff, and hold its money. The purchase is locked by the caller."""
    if payment not in sendable_payments(purchase):
        raise WrongState(_("The payment's account is not set up in the refund App, so a person has to pay this back."))
    _check_may_send(payment)
    step = amount_step(payments=[payment], currency=purchase.currency)
    check_amount(amount, payment=payment, step=step)
    grants = spread(amount=amount, lines=list(purchase.lines.all()), asked=lines)
    request = RefundRequest.objects.create(
        reference="R-" + "".join(secrets.choice(ALPHABET) for _n in range(8)),
        store=purchase.store,
        purchase=purchase,
        customer=purchase.customer,
        state=RequestState.APPROVED,
        reason=RequestReason.OTHER,
        submission_key=uuid.uuid4().hex,
        policy_version=version_in_force(store_id=purchase.store_id, at=purchase.purchased_at),
        channel=purchase.store.adapter[:20],
        locale=purchase.customer.locale,
        tracking_nonce=secrets.token_hex(16),
        created_at=now,
        changed_at=now,
    )
    RequestLine.objects.bulk_create(RequestLine(request=request, line=grant.line, quantity=max(1, grant.quantity)) for grant in grants)
    decision = Decision.objects.create(
        request=request,
        outcome=DecisionOutcome.APPROVED,
        policy_version=request.policy_version,
        amounts={str(grant.line.pk): grant.amount_minor for grant in grants},
        amount_minor=amount.minor,
        currency=amount.currency,
        reason=reason,
        is_override=True,  # nobody asked the policy
        actor_kind=by.kind,
        actor_id=by.id[:64],
        actor_label=by.label[:200],
        decided_at=now,
    )
    name = reference_of(store=ask.store, ask_key=ask.key)
    [refund] = do_send(request, decision, grants, [payment], step=step, origin=RefundOrigin.STAFF, now=now, refund_id=name)
    told = {"decision": decision.pk, "amount_minor": decision.amount_minor, "currency": decision.currency}
    record(events.request_event(events.REQUEST_APPROVED, request, by, **told), now=now)
    return refund


def _check_may_send(payment: Payment) -> None:
    why = why_stopped(payment)
    if why:
        raise WrongState(_("Nothing can be refunded on this payment now: %(why)s.") % {"why": why})


def check_amount(amount: Money, *, payment: Payment, step: int) -> None:
    """Check what is asked for against what is left on the payment.

    Raises:
        InvalidInput: another currency, nothing, more than is left, or between two of the gateway's steps.
    """
    if amount.currency != payment.currency or amount.minor <= 0:
        raise InvalidInput(_("Ask for an amount above zero, in %(currency)s.") % {"currency": payment.currency}, field="amount")
    if amount > payment.left:
        text = _("%(left)s of this payment can still be refunded; %(asked)s were asked for. Nothing was sent.")
        raise InvalidInput(text % {"left": payment.left, "asked": amount}, field="amount")
    if amount.minor % step:
        text = _("The payment provider takes steps of %(step)s.")
        raise InvalidInput(text % {"step": Money(step, amount.currency)}, field="amount")


def spread(*, amount: Money, lines: Sequence[PurchaseLine], asked: Mapping[int, int]) -> list[LineGrant]:
    """Return what each line gets of an amount: first those that are named, by what their units cost; the rest in the lines' order.

    Units count as given back where the amount pays them back whole. Where something of the named ones was given back before, no other
    line pays for them.

    Args:
        asked: units by line id; an id that none of the lines has stands for goods that are not kept.
    Raises:
        InvalidInput: more than is left on the lines, or on those that are named; goods that are not kept.
    """
    if not asked.keys() <= {line.pk for line in lines}:
        raise InvalidInput(
            _("It names goods that are not digital, or not known to this App; refund them at the payment provider. Nothing was sent."),
            field="lines",
        )
    left = sum(line.left_minor for line in lines)
    if amount.minor > left:
        text = _(
            "%(left)s of what this App keeps of the order can still be refunded; %(asked)s were asked for. Nothing was sent. "
            "Refund shipping and goods that are not digital at the payment provider."
        )
        raise InvalidInput(text % {"left": Money(left, amount.currency), "asked": amount}, field="amount")
    named = [_value(line, asked.get(line.pk, 0)) for line in lines]
    cost = sum(_cost(line, asked.get(line.pk, 0)) for line in lines)
    if sum(named) < amount.minor and sum(named) + len(asked) < cost:  # units of a line that was rounded differ by one
        text = _(
            "%(left)s of the lines that it names can still be refunded, because something was refunded before; %(asked)s were asked for. "
            "Nothing was sent. If it is right all the same, grant it without naming lines."
        )
        raise InvalidInput(text % {"left": Money(sum(named), amount.currency), "asked": amount}, field="lines")
    parts = allocate(min(amount.minor, sum(named)), named) if sum(named) else [0] * len(lines)
    open_minor = amount.minor - sum(parts)
    for place, line in enumerate(lines):
        more = min(open_minor, line.left_minor - parts[place])
        parts[place] += more
        open_minor -= more
    return [
        LineGrant(line, _units(line, part, asked.get(line.pk, 0), worth), part)
        for line, part, worth in zip(lines, parts, named, strict=True)
        if part
    ]


def _cost(line: PurchaseLine, quantity: int) -> int:
    """Return what so many units of a line cost, whatever was given back of it."""
    return share_of(line.paid_minor, min(max(0, quantity), line.quantity), line.quantity)


def _value(line: PurchaseLine, quantity: int) -> int:
    """Return what so many units of a line are worth, no more than is left on it."""
    units = min(max(0, quantity), line.quantity_left)
    worth = line.left_minor if units == line.quantity_left else share_of(line.paid_minor, units, line.quantity)
    return min(worth, line.left_minor) if units else 0


def _units(line: PurchaseLine, part: int, asked: int, worth: int) -> int:
    if asked and part >= worth:
        paid_back = min(asked, line.quantity_left)
        return line.quantity_left if part >= line.left_minor else max(paid_back, 0)
    whole = line.quantity_left if part >= line.left_minor else part * line.quantity // line.paid_minor
    return min(whole, line.quantity_left)
