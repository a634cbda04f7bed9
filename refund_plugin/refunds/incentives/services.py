"""Give a customer a voucher or a gift card with a request, once, and let the store issue it.

The row is written first, with the code; then the store is asked, outside any transaction, and again until it confirms. Only then is
the customer told: a code that nobody has read can be taken back at any time, whether the store has issued it or not.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from refund_plugin import clock
from refund_plugin.actor import SYSTEM, Action, Actor
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, WrongState
from refund_plugin.events.services import record
from refund_plugin.money import Money
from refund_plugin.orders.models import Customer
from refund_plugin.refunds import events
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.authority import check_may
from refund_plugin.refunds.checks import MAX_KEY, MAX_MESSAGE, check_reason, check_text
from refund_plugin.refunds.incentives.limits import MAX_DAYS, MIN_DAYS, WINDOW, most_amount, most_per_customer, most_percent
from refund_plugin.refunds.incentives.models import Incentive, IncentiveState
from refund_plugin.refunds.locks import for_update
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.stores.base import CreditKind, CreditTold, StoreRefused, StoreUnavailable
from refund_plugin.stores.codes import readable_code
from refund_plugin.stores.models import Store
from refund_plugin.stores.registry import adapter_for

logger = logging.getLogger(__name__)

LEASE_SECONDS = 120
WAIT_SECONDS, LONGEST_WAIT_SECONDS = 10, 3600
FAILURES_FOR_ALERT = 8
RUN_SECONDS = 5  # how long one run asks stores, so that one that is slow does not keep other work waiting


def offered_by(store: Store) -> CreditKind | None:
    """Return what a store issues to customers besides refunds; None when nothing."""
    adapter = adapter_for(store)
    return adapter.incentive_kind(store.slug) if adapter is not None else None


def give_incentive(
    *,
    request_id: UUID,
    worth: Money | int,
    days: int,
    reason: str,
    message: str,
    by: Actor,
    submission_key: str,
    now: datetime,
) -> Incentive:
    """Write down what a customer is given; `issue_now` or the sweep then lets the store issue it. The same key gives once.

    Args:
        worth: an amount in the purchase's currency, or whole percent off one order (of vouchers only).
        days: how long it can be used: until the end of the day in the store's time zone that is so many days from `now`.
        reason: for colleagues; required.
        message: for the customer; may be empty.
        submission_key: one for each wish of a person, so that a double click gives once.
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`; or this customer was given as many as the settings allow within 30 days.
        WrongState: the store issues nothing.
        Required, InvalidInput: no reason, or a worth, a term or a text that cannot be.
    """
    check_reason(reason)
    _check_texts(message, submission_key)
    with transaction.atomic(durable=True):
        request = _find(request_id, by=by, worth=worth)
        customer = for_update(Customer.objects.filter(pk=request.customer_id)).get()  # so that two at once count each other
        first = Incentive.objects.filter(request=request, submission_key=submission_key).first()
        if first is not None:
            return first
        kind = offered_by(request.store)
        if kind is None:
            raise WrongState(_("This store gives no vouchers or gift cards."))
        _check_worth(worth, kind=kind, currency=request.purchase.currency)
        _check_days(days)
        _check_count(customer, now=now)
        return Incentive.objects.create(
            store=request.store,
            customer=customer,
            request=request,
            submission_key=submission_key,
            kind=kind,
            currency=request.purchase.currency,
            amount_minor=worth.minor if isinstance(worth, Money) else None,
            percent=None if isinstance(worth, Money) else worth,
            code=readable_code(),
            ends_at=_end_of_day(now + timedelta(days=days), request.store.timezone),
            reason=reason.strip(),
            message=message.strip(),
            given_by_id=by.id,
            given_by_label=by.label[:200],
            created_at=now,
            due_at=clock.database_now(),
        )


def cancel_incentive(*, incentive_id: UUID, by: Actor, now: datetime) -> Incentive:
    """Take back what the store has not confirmed yet. If it was issued all the same, nobody ever reads its code.

    Args:
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: the customer has it already.
    """
    with transaction.atomic(durable=True):
        incentive = for_update(Incentive.objects.filter(pk=incentive_id)).select_related("request__purchase__customer").first()
        if incentive is None:
            raise NotFound
        check_may(request=incentive.request, by=by, action=Action.GIVE_INCENTIVE)
        if incentive.state != IncentiveState.WAITING:
            raise WrongState
        incentive.state, incentive.due_at = IncentiveState.CANCELED, None
        incentive.save(update_fields=["state", "due_at"])
        record(events.incentive_event(events.INCENTIVE_CANCELED, incentive, by), now=now)
    return incentive


def issue_now(*, incentive_id: UUID, now: datetime) -> Incentive:
    """Ask the store at once, for a person who waits; no transaction may be open. What it does not confirm is asked again later.

    Args:
        now: UTC.
    """
    incentive = Incentive.objects.get(pk=incentive_id)
    _issue(incentive, now)
    return Incentive.objects.get(pk=incentive_id)


def issue_due(now: datetime, *, limit: int = 100) -> int:
    """Let the stores issue what is due; return for how many they were asked. The sweep calls this every time.

    Args:
        now: UTC.
    """
    started = clock.database_now()
    asked = 0
    for incentive in Incentive.objects.filter(_due(started)).order_by("due_at", "pk")[:limit]:
        _issue(incentive, now)
        asked += 1
        if clock.database_now() - started > timedelta(seconds=RUN_SECONDS):
            break
    return asked


def _find(request_id: UUID, *, by: Actor, worth: Money | int) -> RefundRequest:
    request = RefundRequest.objects.select_related("store", "purchase__customer").filter(pk=request_id).first()
    if request is None:
        raise NotFound
    check_may(request=request, by=by, action=Action.GIVE_INCENTIVE, amount=worth if isinstance(worth, Money) else None)
    return request


def _check_texts(message: str, submission_key: str) -> None:
    check_text(message, field="message")
    check_text(submission_key, field="submission_key")
    if len(message) > MAX_MESSAGE:
        raise InvalidInput(_("Please keep the message under %(max)d characters.") % {"max": MAX_MESSAGE}, field="message")
    if not 0 < len(submission_key) <= MAX_KEY:
        raise InvalidInput(_("A submission key has 1 to %(max)d characters.") % {"max": MAX_KEY}, field="submission_key")


def _check_worth(worth: Money | int, *, kind: CreditKind, currency: str) -> None:
    if isinstance(worth, Money):
        most = most_amount(currency)
        if worth.currency != currency or not 0 < worth.minor <= most.minor:
            raise InvalidInput(_("Give an amount above zero, up to %(most)s.") % {"most": most}, field="worth")
    elif kind != CreditKind.VOUCHER:
        raise InvalidInput(_("A gift card has an amount."), field="worth")
    elif not 0 < worth <= most_percent():
        raise InvalidInput(_("Give from 1 to %(most)d percent.") % {"most": most_percent()}, field="worth")


def _check_days(days: int) -> None:
    if not MIN_DAYS <= days <= MAX_DAYS:
        raise InvalidInput(_("It can be good for %(min)d to %(max)d days.") % {"min": MIN_DAYS, "max": MAX_DAYS}, field="days")


def _check_count(customer: Customer, *, now: datetime) -> None:
    most = most_per_customer()
    given = Incentive.objects.filter(customer=customer, created_at__gt=now - WINDOW).exclude(state=IncentiveState.CANCELED)
    if given.count() >= most:
        text = ngettext(
            "This customer was given %(most)d within 30 days; your store allows no more.",
            "This customer was given %(most)d within 30 days; your store allows no more.",
            most,
        )
        raise NotAllowed(text % {"most": most})


def _end_of_day(moment: datetime, timezone: str) -> datetime:
    return moment.astimezone(ZoneInfo(timezone)).replace(hour=23, minute=59, second=59, microsecond=0).astimezone(UTC)


def _due(now: datetime) -> Q:
    return Q(due_at__lte=now) & (Q(lease_until__isnull=True) | Q(lease_until__lt=now))


def _issue(incentive: Incentive, now: datetime) -> None:
    """Ask one store for one incentive, unless somebody else does."""
    started = clock.database_now()
    mine = Incentive.objects.filter(pk=incentive.pk, fence=incentive.fence)
    if not mine.filter(_due(started)).update(lease_until=started + timedelta(seconds=LEASE_SECONDS), fence=F("fence") + 1):
        return
    incentive = Incentive.objects.select_related("store", "request__purchase").get(pk=incentive.pk)
    adapter = adapter_for(incentive.store)
    try:
        if adapter is None:
            raise StoreRefused("no adapter issues anything for this store")
        adapter.issue_credit(_described(incentive))
    except StoreUnavailable as error:
        _record_failure(incentive, error, now=now)
    except Exception as failure:  # an adapter's own fault delays this one, not the others
        logger.exception("the adapter %s failed", incentive.store.adapter)
        _record_failure(incentive, StoreUnavailable(f"{type(failure).__name__}: {failure}"), now=now)
    else:
        _record_issued(incentive, now=now)


def _described(incentive: Incentive) -> CreditTold:
    purchase = incentive.request.purchase
    return CreditTold(
        store=incentive.store.slug,
        kind=CreditKind(incentive.kind),
        code=incentive.code,
        worth=incentive.worth,
        currency=incentive.currency,
        name=incentive.request.reference,
        channel=purchase.channel,
        store_customer_id=str(purchase.metadata.get(f"{incentive.store.adapter}_customer") or ""),
        ends_at=incentive.ends_at,
        timezone=incentive.store.timezone,
    )


def _record_issued(asked: Incentive, *, now: datetime) -> None:
    """Write down that it is there, unless the lease was lost or it was taken back meanwhile."""
    with transaction.atomic(durable=True):
        rows = for_update(Incentive.objects.filter(pk=asked.pk, fence=asked.fence, state=IncentiveState.WAITING))
        incentive = rows.select_related("request").first()
        if incentive is None:
            return
        incentive.state, incentive.issued_at = IncentiveState.ISSUED, now
        incentive.due_at, incentive.lease_until, incentive.last_error = None, None, ""
        incentive.save()
        record(events.incentive_event(events.INCENTIVE_ISSUED, incentive, SYSTEM), now=now)


def _record_failure(asked: Incentive, error: StoreUnavailable, *, now: datetime) -> None:
    told = (str(error) or "the store did not answer").replace(asked.code, "…")[:500]  # GraphQL repeats what it cannot read
    logger.warning("incentive %s is not issued yet: %s", asked.pk, told)
    with transaction.atomic(durable=True):
        incentive = for_update(Incentive.objects.filter(pk=asked.pk, fence=asked.fence, state=IncentiveState.WAITING)).first()
        if incentive is None:
            return
        incentive.failures, incentive.last_error, incentive.lease_until = incentive.failures + 1, told, None
        incentive.due_at = clock.database_now() + timedelta(seconds=_wait_seconds(incentive, error))
        incentive.save()
        if isinstance(error, StoreRefused) or incentive.failures == FAILURES_FOR_ALERT:
            raise_alert(
                kind="incentive_stuck",
                key=f"incentive:{incentive.pk}",
                why=f"{asked.request.reference}: what the customer was to be given is not issued: {told}",
                store_id=incentive.store_id,
                details={"request": str(incentive.request_id)},
                now=now,
            )


def _wait_seconds(incentive: Incentive, error: StoreUnavailable) -> float:
    if error.retry_after_seconds is not None:
        return error.retry_after_seconds
    if isinstance(error, StoreRefused):
        return LONGEST_WAIT_SECONDS
    return float(min(WAIT_SECONDS * 2 ** (incentive.failures - 1), LONGEST_WAIT_SECONDS))
