"""Follow a request: its steps, its reasons, what is left to do. Who holds the link sees it; nobody needs to sign in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.db.models import Prefetch, prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from refund_plugin import clock
from refund_plugin.actor import Actor, customer_actor
from refund_plugin.errors import RefundPluginError, WrongState
from refund_plugin.localize import Formatter, write_day
from refund_plugin.money import Money
from refund_plugin.refunds.arrival import expected_arrival
from refund_plugin.refunds.explaining import engine_decision, explain_decision
from refund_plugin.refunds.incentives.models import IncentiveState
from refund_plugin.refunds.incentives.presenting import called, code_end, how_to_use, last_day
from refund_plugin.refunds.ledger.queries import credit_note, credit_notes_of, note_lines, rate_totals
from refund_plugin.refunds.models import Decision, RefundRequest, RequestLine
from refund_plugin.refunds.queries import refunds_for_timeline
from refund_plugin.refunds.services import answer_evidence, cancel_request
from refund_plugin.refunds.states import OVER, REQUEST_TRANSITIONS, RefundState, RequestState
from refund_plugin.refunds.timeline import Step, timeline, unbroken
from refund_plugin.refunds.tracking import find_by_token
from refund_plugin.rules import LineExplanation
from refund_plugin.web.forms import AnswerForm, Problem
from refund_plugin.web.frame import customer_page, formatter_of, show
from refund_plugin.web.wording import masked, paid_with, status_headline

# An approved request usually leaves within two seconds; to offer its end in that moment would only flicker.
CANCEL_AFTER = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step with its texts ready for people; `moment` is for machines."""

    title: str
    detail: str
    state: str
    time: str
    moment: datetime | None


@dataclass(frozen=True, slots=True)
class TrackedLine:
    """One line of the request: what comes back and why."""

    name: str
    meta: str
    amount: str
    explanation: LineExplanation | None
    clause_url: str


@customer_page
@require_safe
def track(request: HttpRequest, token: str) -> HttpResponse:
    """Show a request."""
    found = find_by_token(token)
    context = _status(found, token, is_buyer=_is_buyer(request, found))
    formatter = formatter_of(found.store)
    context |= {
        "just_asked": "asked" in request.GET,
        "lines": _lines(found, formatter),
        "bought_on": formatter.date(found.purchase.purchased_at),
        "timezone": found.store.timezone,
    }
    return show(request, "track", context)


@customer_page
@require_safe
def status(request: HttpRequest, token: str) -> HttpResponse:
    """Return the changing part of the page as HTML, or 304 when it is what the browser has."""
    found = find_by_token(token)
    html = render_to_string("refund_plugin/web/_status.html", _status(found, token, is_buyer=_is_buyer(request, found)))
    etag = f'"{sha256(html.encode()).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified(headers={"ETag": etag})
    return HttpResponse(html, headers={"ETag": etag})


@customer_page
@require_safe
def document(request: HttpRequest, token: str, pk: int) -> HttpResponse:
    """Show a credit note of the request, ready to be printed; the link may have been passed on, so it names nobody."""
    found = find_by_token(token)
    note = credit_note(pk, request=found)
    lines = note_lines(note)
    context = {"note": note, "purchase": found.purchase, "lines": lines, "rates": rate_totals(lines)}
    context["masked_email"] = masked(found.customer.email)
    return show(request, "credit_note", {**context, "formatter": formatter_of(found.store), "token": token})


@customer_page
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, token: str) -> HttpResponse:
    """Ask whether the request is to be taken back; a POST takes it back."""
    found = find_by_token(token)
    problems: list[Problem] = []
    if request.method == "POST":
        try:
            cancel_request(request_id=found.pk, by=_customer(found), now=clock.now())
            return redirect("refund_plugin:track", token)
        except WrongState as error:
            problems = [Problem(text=str(error), target="back")]
    elif not _may_cancel(_load(found), now=clock.now()):
        return redirect("refund_plugin:track", token)
    return show(request, "cancel", {"refund": found, "token": token, "problems": problems}, status=409 if problems else 200)


@customer_page
@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, token: str) -> HttpResponse:
    """Answer the question that staff asked."""
    found = find_by_token(token)
    if found.state != RequestState.NEEDS_EVIDENCE:
        return redirect("refund_plugin:track", token)
    form = AnswerForm(request.POST) if request.method == "POST" else AnswerForm()
    if form.is_bound and form.is_valid():
        try:
            answer_evidence(request_id=found.pk, by=_customer(found), message=form.cleaned_data["message"], now=clock.now())
            return redirect("refund_plugin:track", token)
        except RefundPluginError as error:
            form.add_error("message", str(error))
    context = {"refund": found, "token": token, "form": form, "problems": form.problems()}
    return show(request, "answer", context, status=422 if form.errors else 200)


def _customer(request: RefundRequest) -> Actor:
    return customer_actor(customer_id=request.customer_id, store_id=request.store_id)


def _load(request: RefundRequest) -> RefundRequest:
    refunds = Prefetch("refunds", refunds_for_timeline())
    prefetch_related_objects([request], Prefetch("decisions", Decision.objects.order_by("id")), refunds, "incentives")
    return request


def _is_buyer(request: HttpRequest, found: RefundRequest) -> bool:
    """Tell whether the one who looks is signed in as who bought it: the link may have been passed on."""
    return found.purchase.user_id is not None and request.user.pk == found.purchase.user_id


def _status(request: RefundRequest, token: str, *, is_buyer: bool) -> dict[str, object]:
    """Return what the changing part of the page shows.

    Args:
        is_buyer: show codes whole, with which anybody can pay.
    """
    _load(request)
    formatter = formatter_of(request.store)
    told = timeline(request)
    amount = formatter.money(told.amount)
    by_hand = any(refund.state in (RefundState.MANUAL_CLAIMED, RefundState.MANUAL_PAID) for refund in request.refunds.all())
    where = _("you, paid by a person") if by_hand else paid_with(refund.payment for refund in request.refunds.all())
    return {
        "refund": request,
        "token": token,
        "headline": status_headline(told, amount=amount, where=where),
        "next_step": told.next_step,
        "status_code": told.status_code,
        "final": told.final,
        "steps": _steps(told.steps, formatter),
        "expected_by": _expected_by(request, formatter),
        "documents": credit_notes_of(request) if any(refund.settled_at for refund in request.refunds.all()) else [],
        "trace": next((row.trace_reference for row in request.refunds.all() if row.trace_reference and row.state not in OVER), ""),
        "email": masked(request.customer.email),
        "question": request.evidence_question if request.state == RequestState.NEEDS_EVIDENCE else "",
        "may_ask_again": request.state in (RequestState.DECLINED, RequestState.CANCELED),
        "may_cancel": _may_cancel(request, now=clock.now()),
        "gifts": [
            {
                "message": gift.message,
                "code": gift.code if is_buyer else "",
                "code_end": code_end(gift.code),
                "name": called(gift, formatter),
                "use": how_to_use(gift),
                "last_day": last_day(gift, formatter),
            }
            for gift in request.incentives.all()
            if gift.state == IncentiveState.ISSUED
        ],
    }


def _expected_by(request: RefundRequest, formatter: Formatter) -> str:
    """Return the day by which the customer's bank usually shows the last of the money; empty while none was sent."""
    arrivals = [expected_arrival(refund, timezone=formatter.timezone) for refund in request.refunds.all()]
    days = [arrival.latest for arrival in arrivals if arrival is not None]
    return write_day(max(days), formatter.locale) if days else ""


def _may_cancel(request: RefundRequest, *, now: datetime) -> bool:
    """Whether to offer it; the service decides."""
    if RequestState.CANCELED not in REQUEST_TRANSITIONS[request.state]:
        return False
    if request.state != RequestState.APPROVED:
        return True
    untouched = all(refund.state == RefundState.RESERVED and not refund.attempt_count for refund in request.refunds.all())
    return untouched and now - request.changed_at > CANCEL_AFTER


def _steps(steps: Sequence[Step], formatter: Formatter) -> list[StepRow]:
    """Write the steps; a time says its day only where the day changes."""
    rows, day = [], ""
    for step in steps:
        time = ""
        if step.at:
            date = formatter.date(step.at)
            time = formatter.time(step.at) if date == day else f"{date}, {formatter.time(step.at)}"
            day = date
        title = f"{step.title}: {formatter.money(step.amount)}" if step.amount and step.code == "approved" else step.title
        rows.append(StepRow(title=unbroken(title), detail=step.detail, state=step.state, time=time, moment=step.at))
    return rows


def _lines(request: RefundRequest, formatter: Formatter) -> list[TrackedLine]:
    """Return the lines with what was granted and the reason the policy gave at that time, evaluated again from its record."""
    asked = list(RequestLine.objects.filter(request=request).select_related("line").order_by("line__position"))
    decisions: list[Decision] = list(request.decisions.all())
    judged = engine_decision(request)
    decided = [decision for decision in decisions if decision.outcome in ("approved", "declined")]
    granted = decided[-1].amounts if decided else {}
    by_person = bool(decided) and decided[-1] != judged
    # once a person has decided, their reason stands in the timeline and the policy's own would contradict it
    explained = {} if by_person else explain_decision(judged, version=request.policy_version, formatter=formatter)
    rows = []
    for item in asked:
        told = explained.get(item.line_id)
        amount = Money(int(granted.get(str(item.line_id), 0)), request.purchase.currency)
        rows.append(
            TrackedLine(
                name=item.line.name,
                meta=_("%(asked)d of %(bought)d") % {"asked": item.quantity, "bought": item.line.quantity}
                if item.line.quantity > 1
                else "",
                amount=formatter.money(amount) if decided else "",
                explanation=told.explanation if told else None,
                clause_url=told.clause_url if told else "",
            )
        )
    return rows
