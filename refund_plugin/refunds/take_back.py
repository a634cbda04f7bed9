"""Take an approved refund back while nothing was sent of it: its debt ends, and what was held for it is free again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor
from refund_plugin.errors import NotFound, WrongState
from refund_plugin.refunds.alerts import look_at
from refund_plugin.refunds.authority import check_may
from refund_plugin.refunds.balances import Balances
from refund_plugin.refunds.checks import check_reason
from refund_plugin.refunds.locks import lock_refund
from refund_plugin.refunds.models import Alert, Refund, WaitsFor
from refund_plugin.refunds.outcomes import do_apply
from refund_plugin.refunds.retry import RESTORED, live_total
from refund_plugin.refunds.states import RefundEvent, RefundState
from refund_plugin.refunds.timeline import TAKEN_BACK


def take_back_refund(*, refund_id: UUID, by: Actor, reason: str, now: datetime) -> Refund:
    """Cancel one refund that was approved and surely never sent; its request may have others, which go on.

    Args:
        reason: recorded with the refund, for colleagues; required.
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: it was sent or may have been; see `why_not_taken_back`.
        Required, InvalidInput: no reason.
    """
    check_reason(reason)
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        if refund is None or refund.request is None:
            raise NotFound
        check_may(request=refund.request, by=by, action=Action.APPROVE, amount=live_total(refund.request, refund.currency))
        problem = why_not_taken_back(refund)
        if problem:
            raise WrongState(problem)
        balances = Balances([refund])
        do_apply(balances, refund, RefundEvent.CANCEL, actor=by, now=now, code=TAKEN_BACK, message=reason)
        refund.waits_for, refund.needs_person = WaitsFor.NOTHING, ""
        balances.write(now=now)
        for alert in Alert.objects.filter(refund=refund, looked_at__isnull=True).order_by("pk"):
            look_at(alert_id=alert.pk, by=by, note=reason, now=now)
    return refund


def why_not_taken_back(refund: Refund) -> str:
    """Return why a refund cannot be taken back now; "" when it can. Source: the domain's table, reserved + cancel = canceled."""
    if refund.state != RefundState.RESERVED or refund.maybe_executed:
        return _("Only a refund that was not sent can be taken back.")
    if refund.lease_until is not None:
        return _("A worker deals with this refund at this moment. Try again in a minute.")
    if refund.list_first:
        return str(RESTORED)
    return ""
