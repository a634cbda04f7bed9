"""A renewal that slips in between the request for a refund and the end of the subscription is given back in full."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.actor import ENGINE, SYSTEM
from refund_plugin.events.services import record
from refund_plugin.orders.models import Payment
from refund_plugin.refunds import events
from refund_plugin.refunds.brake.models import BrakeReason
from refund_plugin.refunds.brake.services import brake_of, decides_alone, take
from refund_plugin.refunds.locks import lock_purchase
from refund_plugin.refunds.models import Decision, DecisionOutcome, RefundOrigin, RefundRequest, RequestLine, RequestReason
from refund_plugin.refunds.quote import amount_step, sendable_payments
from refund_plugin.refunds.reserve import LineGrant
from refund_plugin.refunds.services import ALPHABET, do_send
from refund_plugin.refunds.states import RequestState
from refund_plugin.refunds.subscriptions.models import EndState, SubscriptionEnd

EVERY_SECONDS = 600
WATCHED = timedelta(days=35)  # how long after its end a charge of a subscription may still become known
KEY = "renewal"  # of the request; a purchase has one at most


def refund_renewals(now: datetime, *, subscription_id: str = "") -> int:
    """Give back what subscriptions charged after a refund of theirs was asked for, once they have ended; return how many.

    Args:
        subscription_id: only of this one.
        now: UTC.
    """
    ends = SubscriptionEnd.objects.filter(state=EndState.ENDED, ended_at__gte=now - WATCHED)
    if subscription_id:
        ends = ends.filter(subscription_id=subscription_id)
    done = 0
    for end in ends.order_by("ended_at"):
        since = end.quoted_at.replace(microsecond=0)  # gateways count in seconds
        charged = Payment.objects.filter(account=end.account_id, subscription_id=end.subscription_id, captured_at__gte=since)
        unasked = charged.exclude(pk=end.payment_id).filter(purchase__refund_requests__isnull=True)
        for purchase_id in sorted(set(unasked.values_list("purchase", flat=True))):
            done += _refund_in_full(purchase_id, now=now)
    return done


def _refund_in_full(purchase_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        purchase = lock_purchase(purchase_id)
        grants = [LineGrant(line, line.quantity_left, line.left_minor) for line in purchase.lines.all() if line.quantity_left]
        payments = sendable_payments(purchase)
        total = sum(grant.amount_minor for grant in grants)
        if not total or purchase.refund_requests.exists():
            return False
        held_back = None
        carried = total <= sum(payment.left.minor for payment in payments if payment.is_captured)
        if carried:
            brake = brake_of(purchase.store)
            amounts: Counter[str] = Counter()
            for grant in grants:
                amounts[grant.line.sku] += grant.amount_minor
            alone = decides_alone(brake)
            at = clock.database_now()
            held_back = take(brake=brake, currency=purchase.currency, amounts=amounts, at=at, now=now) if alone else BrakeReason(brake.mode)
        outcome = DecisionOutcome.APPROVED if carried and not held_back else DecisionOutcome.REVIEW
        approved = outcome == DecisionOutcome.APPROVED
        request = RefundRequest.objects.create(
            reference="R-" + "".join(secrets.choice(ALPHABET) for _n in range(8)),
            store=purchase.store,
            purchase=purchase,
            customer=purchase.customer,
            state=RequestState.APPROVED if approved else RequestState.IN_REVIEW,
            reason=RequestReason.OTHER,
            submission_key=KEY,
            channel="subscription",
            locale=purchase.customer.locale,
            tracking_nonce=secrets.token_hex(16),
            created_at=now,
            changed_at=now,
        )
        RequestLine.objects.bulk_create(RequestLine(request=request, line=grant.line, quantity=grant.quantity) for grant in grants)
        granted = {str(grant.line.pk): grant.amount_minor if approved else 0 for grant in grants}
        decision = Decision.objects.create(
            request=request,
            outcome=outcome,
            amounts=granted,
            amount_minor=sum(granted.values()),
            currency=purchase.currency,
            reason=_("The subscription was renewed after its refund was asked for, so the renewal is given back in full."),
            actor_kind=ENGINE.kind,
            actor_label=ENGINE.label,
            brake=held_back or "",
            decided_at=now,
        )
        if approved:
            step = amount_step(payments=payments, currency=purchase.currency)
            do_send(request, decision, grants, payments, step=step, origin=RefundOrigin.ENGINE, now=now)
        told = {"decision": decision.pk, "amount_minor": decision.amount_minor, "currency": decision.currency}
        kind = events.REQUEST_APPROVED if approved else events.REQUEST_IN_REVIEW
        record(
            events.request_event(events.REQUEST_SUBMITTED, request, SYSTEM, outcome=outcome.value),
            events.request_event(kind, request, ENGINE, **told),
            now=now,
        )
    return True
