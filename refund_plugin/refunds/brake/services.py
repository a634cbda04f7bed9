"""The verbs of the brake: count what the policy approves, set the dial, pause, resume.

Lock order: a purchase, then the brake's row of its store, then payments and refunds (`refunds.locks`). A request takes the row
as late as it can and holds it until it commits, so that no two requests can both take the last of a ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor, ActorKind
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, Required, WrongState
from refund_plugin.events import doorbell
from refund_plugin.events.services import record
from refund_plugin.money import Money
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.brake import events
from refund_plugin.refunds.brake.defaults import default_mode
from refund_plugin.refunds.brake.models import AutomaticMode, AutomaticMoney, BrakeReason
from refund_plugin.refunds.brake.queries import ceilings_of
from refund_plugin.refunds.brake.windows import WINDOW_SECONDS, Ceiling, Per, spent_within, subject, with_added
from refund_plugin.refunds.checks import check_reason
from refund_plugin.refunds.events import DRIVE
from refund_plugin.refunds.locks import for_update
from refund_plugin.stores.models import Store

LONGEST_PAUSE = timedelta(days=31)
_REASON_OF = {Per.HOUR: BrakeReason.HOUR, Per.DAY: BrakeReason.DAY}


def brake_of(store: Store) -> AutomaticMoney:
    """Return a store's row, making it when it is not there yet; loaded with the store where the store was read with it."""
    try:
        return store.automatic_money
    except AutomaticMoney.DoesNotExist:
        AutomaticMoney.objects.bulk_create([AutomaticMoney(store=store, mode=default_mode())], ignore_conflicts=True)
        return AutomaticMoney.objects.get(store=store)


def take(*, brake: AutomaticMoney, currency: str, amounts: Mapping[str, int], at: datetime, now: datetime) -> BrakeReason | None:
    """Count what the policy approves, or return why a person must decide instead.

    The row may have been read a while ago and without a lock: it is changed only when nobody else has changed it since, and
    read again under the lock when somebody has. What is counted stays counted when the request is taken back.

    Args:
        amounts: minor units by SKU.
        at: the database's clock.
        now: UTC.
    """
    asked = {subject(currency): sum(amounts.values()), **{subject(currency, sku): amount for sku, amount in amounts.items() if sku}}
    for row in (brake, None):
        row = row or _lock(brake.store_id)
        ceilings = ceilings_of(row, currency)
        reason, reached = _judge(row, currency, asked, ceilings, at)
        if reached is not None:
            _alert_once(row, reached, at=at, now=now)
        if reason is not None or not ceilings:
            return reason
        more = {ceiling.subject: asked.get(ceiling.subject, 0) for ceiling in ceilings}
        if _swap(row, spent=with_added(row.spent, more, at)):
            return None
    raise WrongState  # nobody changes a row that is locked


def decides_alone(brake: AutomaticMoney) -> bool:
    """Tell whether the policy answers by itself at all; else every answer is a person's."""
    return brake.mode == AutomaticMode.AUTOMATIC


def set_automatic(
    *, store: Store, mode: str, limit_minor: Mapping[str, int], ceilings: Sequence[Ceiling], by: Actor, now: datetime
) -> AutomaticMoney:
    """Set the dial, the limits and the ceilings of a store; what is already approved goes on.

    Args:
        limit_minor: by currency; a missing one has no limit.
        ceilings: all that the store sets; the others follow the settings.
    Raises:
        NotFound, NotAllowed: see `check_may_brake`.
        InvalidInput: an unknown mode, an amount below zero, or two ceilings for the same.
    """
    check_may_brake(store=store, by=by)
    if mode not in AutomaticMode.values:
        raise InvalidInput(_("Choose one of the modes."), field="mode")
    if any(amount < 0 for amount in (*limit_minor.values(), *(ceiling.amount_minor for ceiling in ceilings))):
        raise InvalidInput(_("An amount cannot be below zero."), field="ceilings")
    if len({(ceiling.subject, ceiling.per) for ceiling in ceilings}) < len(ceilings):
        raise InvalidInput(_("A product has two ceilings for the same time. Keep one of them."), field="ceilings")
    for currency in (*limit_minor, *(ceiling.currency for ceiling in ceilings)):
        Money.zero(currency)
    brake_of(store)
    with transaction.atomic(durable=True):
        row = _lock(store.pk)
        before = _settings_of(row)
        row.mode, row.limit_minor, row.ceilings = mode, dict(limit_minor), [ceiling.as_json() for ceiling in ceilings]
        after = _settings_of(row)
        if after != before:
            _swap(row, mode=row.mode, limit_minor=row.limit_minor, ceilings=row.ceilings)
            record(events.brake_event(events.AUTOMATIC_CHANGED, store.pk, by, before=before, after=after), now=now)
    return row


def pause_automatic(*, store: Store, until: datetime, by: Actor, why: str, now: datetime) -> AutomaticMoney:
    """Let no money move by itself until a moment: the policy's approvals wait for a person, and what it approved before is not sent.

    Asking and acknowledging go on, and so does what people approve. A pause that runs may be changed by another.

    Args:
        until: UTC; it ends by itself then.
        why: shown to all staff; required.
    Raises:
        NotFound, NotAllowed: see `check_may_brake`.
        InvalidInput: `until` is not in the future, or more than 31 days away.
        Required: no reason.
    """
    check_may_brake(store=store, by=by)
    check_why(why)
    if not now < until <= now + LONGEST_PAUSE:
        raise InvalidInput(
            _("Choose a moment within the next %(days)d days. You can pause again then.") % {"days": LONGEST_PAUSE.days}, field="until"
        )
    brake_of(store)
    with transaction.atomic(durable=True):
        row = _lock(store.pk)
        row.paused_at, row.paused_until, row.paused_why = now, until, why.strip()
        row.paused_by_id, row.paused_by_label = by.id, by.label
        _swap(row, **{name: getattr(row, name) for name in _PAUSE})
        record(events.brake_event(events.AUTOMATIC_PAUSED, store.pk, by, until=until.isoformat(), why=row.paused_why), now=now)
    return row


def resume_automatic(*, store: Store, by: Actor, now: datetime, why: str = "") -> AutomaticMoney:
    """End a pause before its time; what waited is sent at once.

    Raises:
        NotFound, NotAllowed: see `check_may_brake`.
        WrongState: nothing is paused.
    """
    check_may_brake(store=store, by=by)
    brake_of(store)
    with transaction.atomic(durable=True):
        row = _lock(store.pk)
        if not row.is_paused(now):
            raise WrongState(_("Automatic refunds are not paused any more."))
        row.paused_at = row.paused_until = None
        row.paused_why = row.paused_by_id = row.paused_by_label = ""
        _swap(row, **{name: getattr(row, name) for name in _PAUSE})
        record(events.brake_event(events.AUTOMATIC_RESUMED, store.pk, by, why=why.strip()), now=now)
        doorbell.ring(DRIVE)
    return row


def check_may_brake(*, store: Store, by: Actor) -> None:
    """Check that `by` may set and pause the store's automatic money.

    Raises:
        NotFound: another store's.
        NotAllowed: it is beyond the actor's authority.
    """
    if by.store_id is not None and by.store_id != store.pk:
        raise NotFound
    if by.kind != ActorKind.SYSTEM and not by.may(Action.MANAGE_BRAKE):
        raise NotAllowed


def check_why(why: str) -> None:
    """Everybody reads why the money stands still.

    Raises:
        Required, InvalidInput: it is empty, overlong, or cannot be stored.
    """
    try:
        check_reason(why)
    except Required:
        raise Required(_("Write why; all staff see it."), field="why") from None
    except InvalidInput as error:
        raise InvalidInput(error.message, field="why") from None


_PAUSE = ("paused_at", "paused_until", "paused_why", "paused_by_id", "paused_by_label")


def _judge(
    row: AutomaticMoney, currency: str, asked: Mapping[str, int], ceilings: Sequence[Ceiling], at: datetime
) -> tuple[BrakeReason | None, Ceiling | None]:
    """Return why a person must decide, if so, and the ceiling that says it."""
    if row.mode != AutomaticMode.AUTOMATIC:
        return BrakeReason(row.mode), None
    if row.is_paused(at):
        return BrakeReason.PAUSED, None
    limit = row.limit_minor.get(currency)
    if limit is not None and asked[subject(currency)] > limit:
        return BrakeReason.OVER_LIMIT, None
    for ceiling in ceilings:
        amount = asked.get(ceiling.subject, 0)
        if amount and spent_within(row.spent, ceiling.subject, ceiling.per, at) + amount > ceiling.amount_minor:
            return _REASON_OF[ceiling.per], ceiling
    return None, None


def _alert_once(row: AutomaticMoney, reached: Ceiling, *, at: datetime, now: datetime) -> None:
    """Tell staff that a ceiling is reached, once in its window."""
    name, seconds = f"{reached.subject} {reached.per}", int(at.timestamp())
    if _was_told(row, name, reached.per, seconds):
        return
    row = _lock(row.store_id)
    if _was_told(row, name, reached.per, seconds):
        return
    _swap(row, alerted={**row.alerted, name: seconds})
    amount = Money(reached.amount_minor, reached.currency)
    what = {"amount": amount, "sku": reached.sku}
    if reached.per == Per.HOUR:
        why = (
            _("Automatic refunds of %(sku)s reached %(amount)s in an hour.")
            if reached.sku
            else _("Automatic refunds reached %(amount)s in an hour.")
        )
    else:
        why = (
            _("Automatic refunds of %(sku)s reached %(amount)s in a day.")
            if reached.sku
            else _("Automatic refunds reached %(amount)s in a day.")
        )
    raise_alert(
        kind="brake",
        key=f"brake:{row.store_id}:{name}",
        why=f"{why % what} {_('Further requests wait for a person. Is the policy right?')}",
        store_id=row.store_id,
        details=reached.as_json(),
        now=now,
    )


def _was_told(row: AutomaticMoney, name: str, per: Per, seconds: int) -> bool:
    told: int | None = row.alerted.get(name)
    return told is not None and seconds - told < WINDOW_SECONDS[per]


def _lock(store_id: int) -> AutomaticMoney:
    return for_update(AutomaticMoney.objects.all()).get(store=store_id)


def _swap(row: AutomaticMoney, **changes: object) -> bool:
    """Change the row unless somebody else did since it was read."""
    mine = AutomaticMoney.objects.filter(pk=row.pk, revision=row.revision)
    return bool(mine.update(revision=row.revision + 1, **changes))


def _settings_of(row: AutomaticMoney) -> dict[str, object]:
    return {"mode": row.mode, "limit_minor": row.limit_minor, "ceilings": row.ceilings}
