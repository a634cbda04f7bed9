"""Let the store's books follow the refunds, whoever began them: by policy, by staff here, in the store itself, at the gateway.

What is wanted is derived from the refunds as they stand, never from the event that rang. The store is told outside any
transaction and again until it confirms; the money waits for nobody here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.urls import NoReverseMatch, reverse

from refund_plugin import clock
from refund_plugin.events import doorbell
from refund_plugin.events.models import Event
from refund_plugin.refunds import events
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.locks import for_update
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import GONE, OVER, RefundState
from refund_plugin.refunds.telling.models import StoreTelling, ToldState
from refund_plugin.refunds.tracking import absolute_url
from refund_plugin.stores.base import RefundStands, RefundTold, StoreAdapter, StoreRefused, StoreSilent, StoreUnavailable
from refund_plugin.stores.registry import adapter_for

logger = logging.getLogger(__name__)

NAME = "store_books"
TELL = "refund_plugin.tell_stores"  # the task that workers are woken for
KINDS = (
    events.REQUEST_APPROVED,
    events.REQUEST_CANCELED,
    events.REFUND_RETRIED,
    events.REFUND_PENDING,
    events.REFUND_SUCCEEDED,
    events.REFUND_FAILED,
    events.REFUND_CANCELED,
    events.REFUND_EXTERNAL,
    events.REFUND_MANUAL_PAID,
)
LEASE_SECONDS = 120
WAIT_SECONDS, LONGEST_WAIT_SECONDS = 10, 3600
FAILURES_FOR_ALERT = 8
ANSWER_SECONDS = 60  # how long a store that asked may take to read our answer; Saleor gives up on it after 20
RUN_SECONDS = 5  # how long one run tells stores, so that one that is slow does not keep other work waiting


def on_event(event: Event) -> None:
    """Bring what stores are told in line with the refunds of an event; may be called again for the same event."""
    refund = event.payload.get("refund")
    if not refund and not event.case:
        return
    found = Refund.objects.filter(pk=refund) if refund else Refund.objects.filter(request=event.case)
    ids = set(found.values_list("pk", flat=True))
    if ids and refresh_refunds(refund_ids=ids, now=clock.now()):
        doorbell.ring(TELL)  # not told here: a store that does not answer would keep other followers waiting


def follows(refund: Refund) -> StoreAdapter | None:
    """Return the adapter that is told about a refund; None where nobody is.

    It is told of payments that it has a name for, and not where the store itself moves the money: it knows that.
    """
    adapter = adapter_for(refund.store)
    if adapter is None or not store_payment_id(refund) or refund.account.kind == refund.store.adapter:
        return None
    return adapter if adapter.keeps_refunds() else None


def store_payment_id(refund: Refund) -> str:
    """Return the store's own name of a refund's payment, as the order told it; "" when it told none."""
    return str(refund.payment.metadata.get(f"{refund.store.adapter}_transaction", ""))


def do_expect(refund: Refund, *, now: datetime) -> StoreTelling:
    """Note that the store asked for a refund, in the caller's transaction: our answer tells it that it is under way."""
    telling, _created = StoreTelling.objects.get_or_create(
        current=refund, defaults={"refund": refund, "wanted": ToldState.UNDER_WAY, "done": ToldState.UNDER_WAY, "changed_at": now}
    )
    telling.asked_at = now
    telling.save(update_fields=["asked_at"])
    return telling


def refresh_refunds(*, refund_ids: Collection[UUID], now: datetime) -> int:
    """Write down what stores should know of these refunds; return of how many a store has yet to confirm it."""
    # a retry comes with what it follows: where it goes by the same name, the store need not hear that the first try failed
    named = Q(pk__in=refund_ids) | Q(supersedes__in=refund_ids)
    rows = Refund.objects.select_related("store", "account", "payment").filter(named)
    refunds = [refund for refund in rows.order_by("created_at", "pk") if follows(refund)]
    waiting = 0
    for refund in refunds:
        with transaction.atomic():
            telling = _telling_of(refund, now=now)
            wanted = _wanted(refund)
            if telling.current_id == refund.pk and telling.wanted != wanted:
                telling.wanted, telling.version, telling.changed_at = wanted, telling.version + 1, now
                telling.due_at, telling.failures = (clock.database_now(), 0) if wanted != telling.done else (None, 0)
                telling.save()
            waiting += telling.due_at is not None
    return waiting


def _wanted(refund: Refund) -> ToldState:
    if refund.state in GONE:
        return ToldState.REFUNDED
    return ToldState.FAILED if refund.state in OVER else ToldState.UNDER_WAY


def _telling_of(refund: Refund, *, now: datetime) -> StoreTelling:
    """Return the locked entry that a refund belongs to; it is made when there is none."""
    rows = for_update(StoreTelling.objects.order_by("pk"))
    own = rows.filter(Q(refund=refund) | Q(current=refund)).order_by("-pk").first()
    if own is not None:
        return own
    earlier = rows.filter(current=refund.supersedes_id).first() if refund.supersedes_id else None
    if earlier is not None and not earlier.told_refunded:
        earlier.current = refund
        earlier.save(update_fields=["current"])
        return earlier
    made = {"current": refund, "wanted": _wanted(refund), "changed_at": now, "due_at": clock.database_now()}
    StoreTelling.objects.get_or_create(refund=refund, defaults=made)
    return rows.get(refund=refund)


def tell_stores(now: datetime, *, limit: int = 100) -> int:
    """Tell the stores what is due; return of how many refunds they were told. The sweep calls this every time.

    A store that cannot be reached is left alone for a while, however much is due.

    Args:
        now: UTC.
    """
    started = clock.database_now()
    due = StoreTelling.objects.filter(_due(started))
    told, silent = 0, set[int]()
    for telling in due.select_related("refund").order_by("due_at", "pk")[:limit]:
        store_id = telling.refund.store_id
        if store_id in silent:
            continue
        if not _tell(telling, now):
            silent.add(store_id)
            later = clock.database_now() + timedelta(seconds=WAIT_SECONDS)
            StoreTelling.objects.filter(_due(clock.database_now()), refund__store=store_id).update(due_at=later)
        told += 1
        if clock.database_now() - started > timedelta(seconds=RUN_SECONDS):
            break
    return told


def _due(now: datetime) -> Q:
    return Q(due_at__lte=now) & (Q(lease_until__isnull=True) | Q(lease_until__lt=now))


def _tell(telling: StoreTelling, now: datetime) -> bool:
    """Tell one store of one refund, unless somebody else does; return whether the store can be asked more at the moment."""
    started = clock.database_now()
    mine = StoreTelling.objects.filter(pk=telling.pk, fence=telling.fence)
    claimed = mine.filter(_due(started)).update(
        lease_until=started + timedelta(seconds=LEASE_SECONDS),
        fence=F("fence") + 1,
        # noted before it is said, because the answer may be lost: what follows must not go by the same name
        told_refunded=Case(When(wanted=ToldState.REFUNDED, then=Value(True)), default=F("told_refunded")),
    )
    if not claimed:
        return True
    # what is wanted may have changed since the row was read: read it under the lease
    telling = StoreTelling.objects.select_related("current__payment__purchase", "current__store", "current__account").get(pk=telling.pk)
    adapter = follows(telling.current)
    try:
        if adapter is None:
            raise StoreRefused("no adapter tells this store about refunds")
        adapter.set_refund(_described(telling, now))
    except StoreUnavailable as error:
        _record(telling, error, now=now)
        return not isinstance(error, StoreSilent)
    except Exception as failure:  # an adapter's own fault delays this refund, not the others
        logger.exception("the adapter %s failed", telling.current.store.adapter)
        _record(telling, StoreUnavailable(f"{type(failure).__name__}: {failure}"), now=now)
        return True
    _record(telling, None, now=now)
    return True


def _described(telling: StoreTelling, now: datetime) -> RefundTold:
    refund = telling.current
    return RefundTold(
        store=refund.store.slug,
        purchase_number=refund.payment.purchase.number,
        reference=telling.refund_id,
        store_payment_id=store_payment_id(refund),
        amount=refund.amount,
        stands=RefundStands(telling.wanted),
        asked_by_store=telling.asked_at is not None,
        answer_under_way=telling.asked_at is not None and now - telling.asked_at < timedelta(seconds=ANSWER_SECONDS),
        gateway_refund_id=refund.gateway_refund_id,
        note=" ".join(_notes(refund)),
        url=_case_url(refund),
    )


def _notes(refund: Refund) -> Iterable[str]:
    """Yield what the store's staff should read beside a refund: never about the customer."""
    proof = refund.proof or {}
    if refund.state == RefundState.MANUAL_PAID and proof.get("method") == "store_credit":
        yield "given as store credit"  # its reference is its code, which is money
    elif refund.state == RefundState.MANUAL_PAID:
        yield f"paid by hand, {proof.get('reference', '')}"
    elif refund.state in OVER:
        yield refund.failure_message or refund.failure_code


def _case_url(refund: Refund) -> str:
    if refund.request_id is None:
        return ""
    try:
        return absolute_url(reverse("refund_cases:case", args=[refund.request_id]))
    except NoReverseMatch:  # a site without Wagtail's admin
        return ""


def _record(told: StoreTelling, error: StoreUnavailable | None, *, now: datetime) -> None:
    """Write down what the store said, unless the lease was lost; what changed meanwhile is due at once."""
    with transaction.atomic():
        telling = for_update(StoreTelling.objects.filter(pk=told.pk, fence=told.fence)).first()
        if telling is None:
            return
        telling.lease_until = None
        if error is None:
            telling.done, telling.done_at, telling.failures, telling.last_error = told.wanted, now, 0, ""
            telling.due_at = None if telling.wanted == told.wanted else clock.database_now()
        else:
            telling.last_error = (str(error) or "the store did not answer")[:500]
            telling.due_at = clock.database_now() + timedelta(seconds=_wait_seconds(telling, error))
        telling.save()
        if isinstance(error, StoreRefused) or (error is not None and telling.failures == FAILURES_FOR_ALERT):
            _alert(told, telling.last_error, now=now)


def _wait_seconds(telling: StoreTelling, error: StoreUnavailable) -> float:
    logger.warning("refund %s is not in the store's books yet: %s", telling.refund_id, error)
    if error.retry_after_seconds is not None:
        return error.retry_after_seconds
    telling.failures += 1
    if isinstance(error, StoreRefused):
        return LONGEST_WAIT_SECONDS
    return float(min(WAIT_SECONDS * 2 ** (telling.failures - 1), LONGEST_WAIT_SECONDS))


def _alert(told: StoreTelling, error: str, *, now: datetime) -> None:
    refund = told.current
    why = f"{refund.amount} of order {refund.payment.purchase.number}: the store's books do not follow the refund: {error}"
    raise_alert(
        kind="store_books_stuck",
        key=f"store_books:{told.pk}",
        why=why,
        store_id=refund.store_id,
        refund=refund,
        payment=refund.payment,
        now=now,
    )
