"""The verbs of somebody who pays by hand: claim, give the proof, release, report that it bounced; and of somebody who looked.

A claim takes the refund away from the workers in one transaction, and only where no call is under way and none may have been
executed: what may have been sent is not paid a second time. Where the machine failed for good, a successor is claimed instead.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, Required, WrongState
from refund_plugin.events import doorbell
from refund_plugin.events.services import record
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds import events
from refund_plugin.refunds.alerts import look_at
from refund_plugin.refunds.authority import TRUSTED, check_may
from refund_plugin.refunds.balances import Balances, has_open_dispute
from refund_plugin.refunds.checks import MAX_MESSAGE, check_reason, check_text
from refund_plugin.refunds.execute import why_stopped
from refund_plugin.refunds.locks import lock_refund
from refund_plugin.refunds.models import Alert, Operation, Refund, RefundOrigin, WaitsFor
from refund_plugin.refunds.outcomes import NOT_ENDED, do_apply
from refund_plugin.refunds.retry import RESTORED, do_supersede, live_total
from refund_plugin.refunds.states import OVER, RefundEvent, RefundState
from refund_plugin.refunds.subscriptions.services import is_refused

Method = Literal["bank", "store_credit", "other"]
MAX_REFERENCE = 140  # what a SEPA transfer carries (EPC rulebook, remittance information)
ISSUING = "issuing"  # in `Refund.proof`, while store credit may have been issued and nobody has said so
ANYWHERE = timedelta(hours=14)  # how far the day on Earth runs ahead of UTC


def claim_by_hand(*, refund_id: UUID, by: Actor, now: datetime) -> Refund:
    """Take a refund away from the machine in order to pay it by hand.

    Args:
        now: UTC.
    Returns:
        The claimed refund: a successor, when the one named has failed and is still owed.
    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: money may be on its way already, or somebody else pays it; see `why_not_by_hand`.
        ExceedsBalance: the money of a failed refund was given to another one meanwhile.
    """
    with transaction.atomic(durable=True):
        refund = _lock(refund_id, by=by)
        problem = why_not_by_hand(refund)
        if problem:
            raise WrongState(problem)
        if refund.state in OVER:
            refund = do_supersede(refund, origin=RefundOrigin.STAFF, by=by, reason=_("paid by hand"), now=now)
        do_claim(refund, by=by, now=now)
    return refund


def do_claim(refund: Refund, *, by: Actor, now: datetime) -> None:
    """Take a refund, whose row and balances the caller has locked, away from the machine."""
    refund.claimed_by_id, refund.claimed_by_label, refund.claimed_at = by.id, by.label[:200], now
    _move(refund, RefundEvent.PERSON_CLAIMS, by=by, now=now)


def give_proof(*, refund_id: UUID, by: Actor, method: Method, reference: str, paid_on: date, now: datetime, note: str = "") -> Refund:
    """Record how a claimed refund was paid.

    Args:
        method: how it was paid.
        reference: what finds the payment again: the transfer's reference, the voucher's number.
        paid_on: the day it was paid; not before the purchase, and begun somewhere on Earth.
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`; or a colleague claimed it.
        WrongState: it is not claimed; or the machine may have paid it before a backup was restored, see `why_not_proven`.
        Required, InvalidInput: no reference, an unknown method, a day that cannot be, or a text that cannot be stored.
    """
    with transaction.atomic(durable=True):
        refund = _lock(refund_id, by=by)
        check_may_prove(refund=refund, by=by)
        _check_credit(refund, reference=reference)
        check_proof(method=method, reference=reference, paid_on=paid_on, note=note, now=now, purchase=refund.payment.purchase)
        refund.proof = {
            "method": method,
            "reference": reference.strip(),
            "paid_on": paid_on.isoformat(),
            "note": note.strip(),
            "by": by.id,
            "by_label": by.label,
        }
        _move(refund, RefundEvent.PROOF_GIVEN, by=by, now=now)
    return refund


def note_credit(*, refund_id: UUID, by: Actor, reference: str) -> None:
    """Note that store credit is about to be issued for a claimed refund, or with "" that it surely was not.

    While it is noted, the refund is neither given back to the machine nor paid in another way: the credit may be there already.

    Args:
        reference: of the credit, such as its code.
    Raises:
        NotFound, NotAllowed, WrongState: as in `give_proof`; or another credit may have been issued.
    """
    with transaction.atomic(durable=True):
        refund = _lock(refund_id, by=by)
        check_may_prove(refund=refund, by=by)
        if reference:
            _check_credit(refund, reference=reference)
        refund.proof = {ISSUING: reference} if reference else None
        refund.save(update_fields=["proof"])


def release_claim(*, refund_id: UUID, by: Actor, now: datetime) -> Refund:
    """Give a claimed refund back to the machine: it was not paid by hand.

    Raises:
        NotFound, NotAllowed, WrongState: as in `give_proof`.
    """
    with transaction.atomic(durable=True):
        refund = _lock(refund_id, by=by)
        _check_claimed_by(refund, by)
        _check_credit(refund)
        refund.claimed_by_id, refund.claimed_by_label, refund.claimed_at = "", "", None
        _move(refund, RefundEvent.PERSON_RELEASES, by=by, now=now)
        record(events.refund_event(events.REFUND_RELEASED, refund, by), now=now)
        doorbell.ring(events.DRIVE)
    return refund


def report_bounced(*, refund_id: UUID, by: Actor, reason: str, now: datetime) -> Refund:
    """Record that a payment by hand came back: the customer is owed the money again.

    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: it was not paid by hand.
        Required, InvalidInput: no reason.
    """
    check_reason(reason)
    with transaction.atomic(durable=True):
        refund = _lock(refund_id, by=by)
        if refund.state != RefundState.MANUAL_PAID:
            raise WrongState(_("Only a refund that was paid by hand can bounce."))
        _move(refund, RefundEvent.PERSON_RELEASES, by=by, now=now, code="bounced", message=reason)
    return refund


def look_at_refund(*, refund_id: UUID, by: Actor, note: str, now: datetime) -> Refund:
    """Say that somebody looked at the money: the flag and the refund's open alerts are gone, and what waited for a person goes on.

    Args:
        note: what was found; recorded, required.
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: nothing is flagged, or what stopped it still holds.
        Required, InvalidInput: no note.
    """
    check_reason(note)
    with transaction.atomic(durable=True):
        refund = _lock(refund_id, by=by, action=Action.APPROVE)
        waits = refund.waits_for == WaitsFor.PERSON
        if not refund.needs_person and not waits:
            raise WrongState(_("Somebody has looked at this already."))
        if waits and why_stopped(refund.payment):
            raise WrongState(_stopped(refund))
        why, refund.needs_person = refund.needs_person, ""
        if waits:
            refund.waits_for = WaitsFor.NOTHING
            doorbell.ring(events.DRIVE)
        elif refund.waits_for == WaitsFor.SUBSCRIPTION and is_refused(refund.payment):
            refund.waits_for, refund.needs_person = WaitsFor.PERSON, NOT_ENDED
        refund.save(update_fields=["needs_person", "waits_for"])
        for alert in Alert.objects.filter(refund=refund, looked_at__isnull=True).order_by("pk"):
            look_at(alert_id=alert.pk, by=by, note=note, now=now)
        record(events.refund_event(events.REFUND_LOOKED_AT, refund, by, why=why), now=now)
    return refund


def why_not_by_hand(refund: Refund) -> str:
    """Return why nobody may pay a refund by hand now, and what to do; "" when somebody may. Reads its payment.

    Source: the domain's transition table, note (3), and its invariant 1: what was sent, or may have been, is not paid again.
    """
    if refund.operation == Operation.CANCEL_PAYMENT:
        return _("This payment was never captured, so there is nothing to pay back: it is let go of at the payment provider.")
    if refund.state in OVER and refund.owed:
        return str(RESTORED) if refund.list_first else _stopped(refund) or _why_assign(refund)
    if refund.state != RefundState.RESERVED:
        return _why_not(refund)
    if refund.maybe_executed or refund.lease_until is not None:  # calls that surely were not executed are no bar
        return _("The payment provider was already asked to pay it. Wait for the outcome: after its “no” you can pay by hand.")
    if refund.list_first:
        return str(RESTORED)
    if refund.waits_for == WaitsFor.SUBSCRIPTION or refund.needs_person == NOT_ENDED:
        return _("The end of the subscription must be confirmed first.")
    return _stopped(refund) or (_look_first() if refund.waits_for == WaitsFor.PERSON else "")


def check_may_prove(*, refund: Refund, by: Actor) -> None:
    """Check that `by` may say how a refund was paid; it comes with its request and that one's purchase.

    Raises:
        NotFound, NotAllowed, WrongState: as in `give_proof`.
    """
    _check_authority(refund, by, Action.PAY_BY_HAND)
    _check_claimed_by(refund, by)
    problem = why_not_proven(refund)
    if problem:
        raise WrongState(problem)


def why_not_proven(refund: Refund) -> str:
    """Return why a claimed refund must not be paid now; "" when it may. After the backup, the claim may have gone to the machine."""
    return str(RESTORED) if refund.state == RefundState.MANUAL_CLAIMED and refund.list_first else ""


def check_proof(*, method: str, reference: str, paid_on: date, note: str, now: datetime, purchase: Purchase) -> None:
    """Check what a proof says.

    Raises:
        Required, InvalidInput: as in `give_proof`.
    """
    check_text(reference, field="reference")
    check_text(note, field="note")
    if method not in get_args(Method):
        raise InvalidInput(_("Choose how it was paid."), field="method")
    if not reference.strip():
        raise Required(_("Write the reference that finds this payment again."), field="reference")
    if len(reference) > MAX_REFERENCE:
        raise InvalidInput(_("Please keep the reference under %(max)d characters.") % {"max": MAX_REFERENCE}, field="reference")
    if len(note) > MAX_MESSAGE:
        raise InvalidInput(_("Please keep the note under %(max)d characters.") % {"max": MAX_MESSAGE}, field="note")
    if paid_on > (now + ANYWHERE).date():
        raise InvalidInput(_("The day of the payment is in the future."), field="paid_on")
    if paid_on < (purchase.purchased_at - ANYWHERE).date():
        raise InvalidInput(_("This day is before the purchase."), field="paid_on")


def _lock(refund_id: UUID, *, by: Actor, action: Action = Action.PAY_BY_HAND) -> Refund:
    refund = lock_refund(refund_id)
    if refund is None:
        raise NotFound
    _check_authority(refund, by, action)
    return refund


def _check_authority(refund: Refund, by: Actor, action: Action) -> None:
    if refund.request is None:
        raise NotFound
    check_may(request=refund.request, by=by, action=action, amount=live_total(refund.request, refund.currency))


def _stopped(refund: Refund) -> str:
    if refund.payment.over_minor:
        return _("More is gone from this payment than was captured. Whoever pays now may pay twice: look at the payment first.")
    if has_open_dispute(refund.payment):
        return _("The customer disputes this payment with the bank, which decides now. Whoever pays as well may pay twice.")
    return ""


def _why_assign(refund: Refund) -> str:
    """Return why what failed waits until what was refunded past us is assigned; its lines then tell what is left to pay."""
    if not refund.payment.unallocated_minor:
        return ""
    return _("Something was refunded at the payment provider, and this may be the same money. Say first which products it was for.")


def _look_first() -> str:
    return _("This may be the same money as what was paid already. Look at it first, and say on the case page that you have.")


def _check_claimed_by(refund: Refund, by: Actor) -> None:
    if refund.state != RefundState.MANUAL_CLAIMED:
        raise WrongState(_why_not(refund))
    if refund.claimed_by_id != by.id and not by.may(Action.APPROVE) and by.kind not in TRUSTED:
        raise NotAllowed(_("%(name)s pays this refund.") % {"name": refund.claimed_by_label})


def _check_credit(refund: Refund, *, reference: str = "") -> None:
    noted = (refund.proof or {}).get(ISSUING, "")
    if noted and noted != reference.strip():
        raise WrongState(_("Store credit may have been issued for this refund. Give it again where it was given: it is not issued twice."))


def _move(refund: Refund, event: RefundEvent, *, by: Actor, now: datetime, code: str = "", message: str = "") -> None:
    balances = Balances([refund])
    if do_apply(balances, refund, event, actor=by, now=now, code=code, message=message) is None:
        raise WrongState(_why_not(refund))
    balances.write(now=now)


def _why_not(refund: Refund) -> str:
    if refund.state in (RefundState.PROCESSING, RefundState.UNKNOWN, RefundState.PENDING):
        return _("The payment provider was already asked to pay it. Wait for the outcome: after its “no” you can pay by hand.")
    if refund.state == RefundState.MANUAL_CLAIMED:
        return _("%(name)s pays this refund by hand.") % {"name": refund.claimed_by_label}
    if refund.state in (RefundState.SUCCEEDED, RefundState.MANUAL_PAID):
        return _("This refund was paid.")
    return _("This refund is not owed any more.") if refund.state in OVER else _("Nobody has claimed this refund.")
