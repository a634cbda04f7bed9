"""The App's own page in Saleor's dashboard: the queue of requests, and one request with what a person can do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.errors import NotFound, RefundPluginError, WrongState
from refund_plugin.money import Money
from refund_plugin.refunds.incentives.models import IncentiveState
from refund_plugin.refunds.incentives.services import cancel_incentive, give_incentive, issue_now
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.presenting import CaseLine, case_lines, decides_unseen, total, why_a_person, without_verdict
from refund_plugin.refunds.queries import case as read_case
from refund_plugin.refunds.queries import money_needs_person, needs_person, queue_counts, staff_queue
from refund_plugin.refunds.review import approve_request, ask_for_evidence, decline_request
from refund_plugin.refunds.states import OPEN_FOR_STAFF, REQUEST_TRANSITIONS, RefundState, RequestState
from refund_plugin.refunds.timeline import payment_name, timeline
from refund_plugin.saleor_app.frame import dashboard_page, formatter_of, show
from refund_plugin.saleor_app.giving import incentive_form, read_incentive
from refund_plugin.saleor_app.presenting import STATUS, admin_url
from refund_plugin.saleor_app.store_credit import can_be_credit, give_store_credit
from refund_plugin.saleor_app.visits import Visit

PER_PAGE = 20
MAX_SEARCH = 100
TABS: Mapping[str, tuple[object, Callable[[], Q]]] = {
    "needs_person": (gettext_lazy("Needs a person"), needs_person),
    "in_review": (gettext_lazy("Waits for our answer"), lambda: Q(state=RequestState.IN_REVIEW)),
    "needs_evidence": (gettext_lazy("Waits for the customer"), lambda: Q(state=RequestState.NEEDS_EVIDENCE)),
    "money": (gettext_lazy("Money is stuck"), money_needs_person),
    "everything": (gettext_lazy("All requests"), Q),
}


@dashboard_page("desk")
def desk(request: HttpRequest, visit: Visit) -> HttpResponse:
    """List the store's requests: those that need a person first, every other one a tab away."""
    tab = request.POST.get("show", "")
    tab = tab if tab in TABS else "needs_person"
    search = request.POST.get("q", "").replace("\x00", "").strip()[:MAX_SEARCH]
    queue = staff_queue(visit.store.pk, TABS[tab][1]())
    if search:
        wanted = Q(reference__icontains=search) | Q(purchase__number__icontains=search) | Q(customer__email__icontains=search)
        queue = queue.filter(wanted)
    counts = queue_counts(visit.store.pk)
    page = Paginator(queue, PER_PAGE).get_page(request.POST.get("page"))
    context = {
        "tabs": [(name, label, getattr(counts, name)) for name, (label, _condition) in TABS.items()],
        "tab": tab,
        "tab_label": TABS[tab][0],
        "search": search,
        "page": page,
        "rows": [_row(row) for row in page.object_list],
    }
    return show(visit, "desk", context)


@dashboard_page("")
def case(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Show one request; approve or decline it, or ask its customer, as the person's permissions in Saleor allow."""
    found = _find(visit, request.POST.get("case", ""))
    verb = VERBS.get(request.POST.get("step", ""))
    if verb is None:
        return _show(visit, found)
    try:
        if request.POST.get("seen") != seen_stamp(found):
            raise WrongState
        done = verb(visit, found, request.POST, clock.now())
    except RefundPluginError as error:
        return _show(visit, _find(visit, str(found.pk)), sent=request.POST, problem=error)
    return _show(visit, _find(visit, str(found.pk)), done=done)


def _row(row: Any) -> tuple[RefundRequest, Money, object, str]:
    """Return a request of the queue, which annotates it, with its amount, status and tone."""
    status, tone = (gettext_lazy("Money is stuck"), "no") if row.trouble else STATUS[row.state]
    return row, Money(row.amount_minor or 0, row.currency), status, tone


def seen_stamp(request: RefundRequest) -> str:
    """Return what tells one state of a case from the next, so that an answer to an older one is not taken."""
    return f"{request.state} {request.changed_at.isoformat()}"


def _find(visit: Visit, text: str) -> RefundRequest:
    try:
        pk = UUID(text)
    except ValueError:
        raise NotFound from None
    if not visit.requests().filter(pk=pk).exists():
        raise NotFound(_("There is no such request in this store."))
    return read_case(pk)


def _show(
    visit: Visit, found: RefundRequest, *, sent: QueryDict | None = None, problem: RefundPluginError | None = None, done: str = ""
) -> HttpResponse:
    formatter = formatter_of(visit)
    unseen = decides_unseen(found)
    lines = case_lines(found, formatter)
    lines = [without_verdict(line) for line in lines] if unseen else lines
    told = timeline(found, for_staff=True)
    status, tone = STATUS[told.status_code]
    is_open = found.state in OPEN_FOR_STAFF
    actions = visit.actor.actions
    context = {
        "case": found,
        "lines": [(line, _amount_shown(line, sent)) for line in lines],
        "suggested": total(lines, found.purchase.currency),
        "unseen": unseen,
        "timeline": told,
        "status": status,
        "tone": tone,
        "why": why_a_person(found),
        "seen": seen_stamp(found),
        "admin_url": admin_url(found),
        "payments": [(payment_name(payment, for_staff=True), payment.left) for payment in found.purchase.payments.all()],
        "refunds": [(refund, bool(visit.credit) and can_be_credit(refund)) for refund in found.refunds.all()],
        "may_approve": is_open and Action.APPROVE in actions,
        "may_decline": is_open and Action.DECLINE in actions,
        "may_ask": is_open and Action.ASK_EVIDENCE in actions and RequestState.NEEDS_EVIDENCE in REQUEST_TRANSITIONS[found.state],
        "incentive": incentive_form(visit, found, sent),
        "waiting": [each for each in found.incentives.all() if visit.incentive and each.state == IncentiveState.WAITING],
        "lacks_send": is_open and Action.APPROVE not in actions,
        "opened": sent.get("step", "") if sent else "",
        "reason": sent.get("reason", "") if sent else "",
        "done": done,
    }
    return show(visit, "case", context, problem=problem)


def _amount_shown(line: CaseLine, sent: QueryDict | None) -> str:
    """Return what stands in the field for a line's amount: what was typed, else what the policy gives."""
    if sent is not None and (typed := sent.get(f"amount-{line.line_id}")) is not None:
        return typed
    return str(line.suggested.decimal) if line.suggested else ""


def _approve(visit: Visit, found: RefundRequest, data: QueryDict, now: datetime) -> str:
    amounts = {item.line_id: _minor(data.get(f"amount-{item.line_id}", ""), found.purchase.currency) for item in found.lines.all()}
    as_credit = bool(visit.credit and data.get("credit"))
    approve_request(request_id=found.pk, by=visit.actor, reason=data.get("reason", ""), amounts=amounts, by_hand=as_credit, now=now)
    if as_credit:
        for refund in Refund.objects.filter(request=found, state=RefundState.MANUAL_CLAIMED):
            give_store_credit(refund_id=refund.pk, by=visit.actor, now=now)
        return _("%(reference)s is given as store credit, and the customer is told the code.") % {"reference": found.reference}
    return _("%(reference)s is approved. The money is on its way, and the customer is told.") % {"reference": found.reference}


def _decline(visit: Visit, found: RefundRequest, data: QueryDict, now: datetime) -> str:
    decline_request(request_id=found.pk, by=visit.actor, reason=data.get("reason", ""), now=now)
    return _("%(reference)s is declined, and the customer is told why.") % {"reference": found.reference}


def _ask(visit: Visit, found: RefundRequest, data: QueryDict, now: datetime) -> str:
    ask_for_evidence(request_id=found.pk, by=visit.actor, question=data.get("reason", ""), now=now)
    return _("Your question about %(reference)s is sent to the customer.") % {"reference": found.reference}


def _credit(visit: Visit, found: RefundRequest, data: QueryDict, now: datetime) -> str:
    refund = next((refund for refund in found.refunds.all() if str(refund.pk) == data.get("refund")), None)
    if refund is None:
        raise NotFound
    give_store_credit(refund_id=refund.pk, by=visit.actor, now=now)
    return _("%(reference)s is given as store credit, and the customer is told the code.") % {"reference": found.reference}


def _give(visit: Visit, found: RefundRequest, data: QueryDict, now: datetime) -> str:
    given = give_incentive(request_id=found.pk, by=visit.actor, now=now, **read_incentive(data, currency=found.purchase.currency))
    if issue_now(incentive_id=given.pk, now=now).state == IncentiveState.ISSUED:
        return _("It is issued, and the customer of %(reference)s is told the code.") % {"reference": found.reference}
    return _("Saleor has not confirmed it yet. It is asked again by itself; the customer is told once it is good.")


def _take_back(visit: Visit, found: RefundRequest, data: QueryDict, now: datetime) -> str:
    waiting = next((each for each in found.incentives.all() if str(each.pk) == data.get("incentive")), None)
    if waiting is None:
        raise NotFound
    cancel_incentive(incentive_id=waiting.pk, by=visit.actor, now=now)
    return _("It is taken back. The customer hears nothing of it.")


def _minor(text: str, currency: str) -> int:
    return Money.from_decimal(text.strip(), currency).minor if text.strip() else 0


Verb = Callable[[Visit, RefundRequest, QueryDict, datetime], str]
VERBS: Mapping[str, Verb] = {
    "approve": _approve,
    "decline": _decline,
    "ask": _ask,
    "credit": _credit,
    "give": _give,
    "take_back": _take_back,
}
