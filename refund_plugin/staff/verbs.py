"""What a person can do with a case: a permission, a form with a reason, and the service that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.utils.translation import gettext_lazy as _

from refund_plugin.actor import Action, Actor
from refund_plugin.localize import Formatter
from refund_plugin.money import Money
from refund_plugin.refunds import review
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.presenting import CaseLine
from refund_plugin.refunds.states import OPEN_FOR_STAFF, REQUEST_TRANSITIONS, RequestState
from refund_plugin.staff.forms import ApproveForm, DeclineForm, EvidenceForm, SeenForm


class CasePage(Protocol):
    """What a form needs to know of the page it stands on; `limit` is the most the person may approve at once."""

    case: RefundRequest
    lines: list[CaseLine]
    formatter: Formatter
    limit: Money | None


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb.

    Attributes:
        target: the state the request moves to; the verb is offered where the transition table allows it.
        key: the keyboard shortcut on the case page.
        do: calls the service with the validated form.
    """

    name: str
    action: Action
    target: RequestState
    label: Any
    submit: Any
    icon: str
    key: str
    intro: Any
    done: Any
    form_class: type[SeenForm]
    do: Callable[[RefundRequest, Any, Actor, datetime], object]
    classname: str = "button-secondary"

    def fits(self, request: RefundRequest) -> bool:
        """Tell whether the request's state allows the verb."""
        return request.state in OPEN_FOR_STAFF and self.target in REQUEST_TRANSITIONS[request.state]

    def form(self, page: CasePage, data: Any = None) -> SeenForm:
        """Return the verb's form for a case; ids carry the verb's name, because a page may hold several."""
        options: dict[str, Any] = {"data": data, "initial": {"seen": seen_stamp(page.case)}, "auto_id": f"{self.name}_%s"}
        if self.form_class is ApproveForm:
            options |= {"lines": page.lines, "formatter": page.formatter, "limit": page.limit}
        form = self.form_class(**options)
        # the dialog moves the focus there, so that typing never meets the page's shortcuts
        form.visible_fields()[0].field.widget.attrs["autofocus"] = True
        return form


def seen_stamp(request: RefundRequest) -> str:
    """Return what tells one state of a case from the next."""
    return f"{request.state} {request.changed_at.isoformat()}"


def _approve(request: RefundRequest, form: ApproveForm, by: Actor, now: datetime) -> None:
    review.approve_request(request_id=request.pk, by=by, amounts=form.amounts, reason=form.cleaned_data["reason"], now=now)


def _decline(request: RefundRequest, form: DeclineForm, by: Actor, now: datetime) -> None:
    review.decline_request(request_id=request.pk, by=by, reason=form.cleaned_data["reason"], now=now)


def _ask(request: RefundRequest, form: EvidenceForm, by: Actor, now: datetime) -> None:
    review.ask_for_evidence(request_id=request.pk, by=by, question=form.cleaned_data["question"], now=now)


APPROVE = Verb(
    name="approve",
    action=Action.APPROVE,
    target=RequestState.APPROVED,
    label=_("Approve"),
    submit=_("Approve and send the money"),
    icon="check",
    key="a",
    intro=_("The money goes back to the customer's means of payment at once. This cannot be undone."),
    done=_("%(reference)s is approved. The money is on its way, and the customer is told."),
    form_class=ApproveForm,
    do=_approve,
    classname="",
)
DECLINE = Verb(
    name="decline",
    action=Action.DECLINE,
    target=RequestState.DECLINED,
    label=_("Decline"),
    submit=_("Decline and tell the customer"),
    icon="cross",
    key="d",
    intro=_("No money moves. The customer gets your reason by mail."),
    done=_("%(reference)s is declined, and the customer is told why."),
    form_class=DeclineForm,
    do=_decline,
)
ASK = Verb(
    name="ask",
    action=Action.ASK_EVIDENCE,
    target=RequestState.NEEDS_EVIDENCE,
    label=_("Ask the customer"),
    submit=_("Send the question"),
    icon="comment",
    key="e",
    intro=_("The request then waits for the customer's answer. You can still decide it in the meantime."),
    done=_("Your question about %(reference)s is sent to the customer."),
    form_class=EvidenceForm,
    do=_ask,
)
VERBS = (APPROVE, DECLINE, ASK)
