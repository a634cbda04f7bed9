"""One refund on the case page: how it stands, what this person may do with it, and how it was paid by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from refund_plugin.actor import Action
from refund_plugin.refunds.incentives.presenting import code_end
from refund_plugin.refunds.manual.services import why_not_by_hand, why_not_proven
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.people import may
from refund_plugin.refunds.presenting import may_retry
from refund_plugin.refunds.states import OVER, RefundState
from refund_plugin.refunds.timeline import payment_name, unbroken
from refund_plugin.staff.refund_verbs import METHODS, REFUND_VERBS, RefundVerb


@dataclass(frozen=True, slots=True)
class RefundCard:
    """One refund on the case page.

    Attributes:
        retry: this person may send it again.
        verbs: what else this person may do with it.
        problem: why nobody may pay it by hand, or go on with that, where somebody might want to; "" elsewhere.
        proof: how it was paid by hand, as label and value.
    """

    refund: Refund
    name: str
    retry: bool
    verbs: list[RefundVerb]
    problem: str
    proof: list[tuple[str, str]]


def refund_card(refund: Refund, user: Any) -> RefundCard:
    """Return what the case page shows of a refund that comes with its payment."""
    stuck = refund.state in (RefundState.RESERVED, RefundState.UNKNOWN) or (refund.state in OVER and refund.owed)
    return RefundCard(
        refund=refund,
        name=unbroken(payment_name(refund.payment, for_staff=True)),
        retry=may_retry(refund) and may(user, Action.APPROVE),
        verbs=[verb for verb in REFUND_VERBS if may(user, verb.action) and verb.fits(refund)],
        problem=(why_not_by_hand(refund) if stuck else why_not_proven(refund)) if may(user, Action.PAY_BY_HAND) else "",
        proof=_proof(refund, whole=may(user, Action.PAY_BY_HAND)),
    )


def _proof(refund: Refund, *, whole: bool) -> list[tuple[str, str]]:
    """Return how it was paid by hand; a code of store credit is `whole` for those who may give such, because it pays."""
    told = refund.proof or {}
    if not told:
        return []
    reference = str(told.get("reference", ""))
    rows = [
        (_("Paid"), str(dict(METHODS).get(str(told.get("method", "")), ""))),
        (_("Reference"), reference if whole or told.get("method") != "store_credit" else f"… {code_end(reference)}"),
        (_("Day"), str(told.get("paid_on", ""))),
        (_("By"), str(told.get("by_label", ""))),
        (_("Note"), str(told.get("note", ""))),
    ]
    return [(label, value) for label, value in rows if value]
