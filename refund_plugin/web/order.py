"""The page of a purchase: for every line whether, how much, why and until when, and the form that asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from refund_plugin import clock, content
from refund_plugin.errors import ExceedsBalance, InvalidInput, QuoteChanged
from refund_plugin.limits.network import network_of
from refund_plugin.localize import Formatter
from refund_plugin.money import Money
from refund_plugin.orders.access import uncounted_sentences
from refund_plugin.orders.lookup import count_request
from refund_plugin.orders.models import Purchase
from refund_plugin.policies.floors import floor_of_line
from refund_plugin.refunds.facts import FAULTS
from refund_plugin.refunds.models import RefundRequest, RequestReason
from refund_plugin.refunds.promise import Promise, check_kept, lasts_until, make_promise, read_promise
from refund_plugin.refunds.queries import requests_of_customer
from refund_plugin.refunds.quote import Quote, QuoteLine, quote_purchase
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.tracking import tracking_token
from refund_plugin.rules import LineExplanation, LineVerdict, Outcome, Reason, explain_line
from refund_plugin.web.before import steps_for
from refund_plugin.web.fixes import Fix, fixes_of
from refund_plugin.web.forms import Choice, Problem
from refund_plugin.web.frame import customer_page, formatter_of, show
from refund_plugin.web.proof import buyer, open_purchase, purchase_page, withdrawal_page
from refund_plugin.web.wording import masked, paid_with, request_cards

MAX_LISTED_QUANTITY = 100
LINES_PER_PAGE = 50
TARGETS = {"reason": "reason", "message": "message"}


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line as the page shows it; texts are ready for people."""

    id: int
    name: str
    meta: str
    amount: str
    note: str
    explanation: LineExplanation
    if_faulty: LineExplanation | None
    evidence: str
    fixes: Sequence[Fix]
    uncounted: Sequence[str]
    clause_url: str
    askable: bool
    may_ask_person: bool
    ticked: bool
    person_ticked: bool
    quantity: int
    quantities: range | None


@dataclass(frozen=True, slots=True)
class Total:
    """What the customer is about to ask for."""

    amount: str
    note: str
    button: str


@customer_page
@require_http_methods(["GET", "HEAD", "POST"])
def purchase(request: HttpRequest, ref: str, token: str = "") -> HttpResponse:
    """Show the answer before the question; a POST asks, or with `update` shows the amounts for other quantities."""
    now = clock.now()
    bought = open_purchase(request, ref, now=now, list_token=token)
    problems: list[Problem] = []
    choice = None
    if request.method == "POST":
        try:
            choice = Choice.sent(request.POST)
            if "update" not in request.POST:
                return redirect(f"{_tracking_path(_submit(request, bought, choice, now=now))}?asked=1")
        except (InvalidInput, ExceedsBalance) as error:
            problems = [Problem(text=str(error), target=TARGETS.get(error.field or "", "lines"))]
    return _show(request, bought, choice, problems, now=now, list_token=token)


def _submit(request: HttpRequest, bought: Purchase, choice: Choice, *, now: datetime) -> RefundRequest:
    count_request(purchase=bought, network=network_of(request.META), now=now)
    wanted = choice.ticked | choice.persons
    if not wanted:
        raise InvalidInput(_("Tick at least one thing that you want your money back for."), field="lines")
    left = {line.pk: line.quantity_left for line in bought.lines.all()}
    return request_refund(
        purchase_id=bought.pk,
        lines={line_id: choice.quantities.get(line_id, max(1, left.get(line_id, 1))) for line_id in sorted(wanted)},
        reason=choice.reason,
        message=choice.message,
        by=buyer(bought),
        submission_key=choice.submission_key,
        channel="web",
        locale=get_language() or "",
        wants_person=bool(choice.persons),
        promise=choice.promise,
        now=now,
    )


def _tracking_path(request: RefundRequest) -> str:
    return reverse("refund_plugin:track", args=[tracking_token(request)])


def _show(
    request: HttpRequest, bought: Purchase, choice: Choice | None, problems: list[Problem], *, now: datetime, list_token: str
) -> HttpResponse:
    formatter = formatter_of(bought.store)
    promised = read_promise(choice.promise, purchase=bought) if choice else None
    kept_from = promised.kept_from(now) if promised else None
    is_faulty = choice is not None and choice.reason in FAULTS
    whole = quote_purchase(purchase=bought, fault_reported=is_faulty, kept_from=kept_from, now=now).worded(formatter.locale)
    page = Paginator(whole.lines, LINES_PER_PAGE).get_page(request.GET.get("page"))
    shown = replace(whole, lines=list(page.object_list))
    if choice is None:
        choice = Choice.first(line.line.pk for line in shown.lines if line.verdict.outcome == Outcome.APPROVE)
    quote, quantity_problems = _with_quantities(shown, choice.quantities, is_faulty=is_faulty, kept_from=kept_from, now=now)
    problems = problems or quantity_problems
    uncounted = uncounted_sentences([line.line.pk for line in quote.lines], formatter)
    earlier = requests_of_customer([bought.customer_id]).filter(purchase=bought)
    context = {
        "purchase": bought,
        "action": purchase_page(bought, list_token=list_token) + _query(page),
        "headline": _headline(whole, formatter),
        "bought_on": formatter.date(bought.purchased_at),
        "email": masked(bought.customer.email),
        "withdrawal_url": withdrawal_page(bought, list_token=list_token) if any(floor_of_line(each.facts) for each in quote.lines) else "",
        "policy_url": content.policy_pages().policy_url(quote.version) if quote.version else "",
        "page": page,
        "rows": [_row(line, quote, choice, formatter, uncounted.get(line.line.pk, ())) for line in quote.lines],
        "total": _total(quote, choice, formatter),
        "promise": make_promise(quote, quoted_at=kept_from),
        "kept_until": formatter.datetime(lasts_until(kept_from or now)) if quote.total else "",
        "changed": "" if problems else _changed(promised, quote),
        "steps": steps_for(quote),
        "can_ask": any(line.askable or _may_ask_person(line) for line in quote.lines),
        "requests": request_cards(earlier, formatter),
        "reasons": RequestReason.choices,
        "choice": choice,
        "problems": problems,
        "problem_targets": {problem.target: problem.text for problem in problems},
    }
    return show(request, "order", context, status=422 if problems else 200)


def _query(page: Page[QuoteLine]) -> str:
    return f"?page={page.number}" if page.number > 1 else ""


def _changed(promised: Promise | None, quote: Quote) -> str:
    """Say that less comes back than was shown before, if so."""
    if promised is None:
        return ""
    try:
        check_kept(promised, quote)
    except QuoteChanged as error:
        return str(error)
    return ""


def _with_quantities(
    whole: Quote, quantities: Mapping[int, int], *, is_faulty: bool, kept_from: datetime | None, now: datetime
) -> tuple[Quote, list[Problem]]:
    """Return the quote with the chosen quantities, or as it is with what is wrong with them."""
    changed = {
        line.line.pk: quantities[line.line.pk]
        for line in whole.lines
        if line.max_quantity > 0 and quantities.get(line.line.pk, line.quantity) != line.quantity
    }
    if not changed:
        return whole, []
    try:
        chosen = quote_purchase(
            purchase=whole.purchase, quantities=changed, version=whole.version, fault_reported=is_faulty, kept_from=kept_from, now=now
        )
    except InvalidInput as error:
        return whole, [Problem(text=str(error), target="lines")]
    by_id = {line.line.pk: line for line in chosen.lines}
    return replace(whole, lines=[by_id.get(line.line.pk, line) for line in whole.lines]), []


def _headline(quote: Quote, formatter: Formatter) -> str:
    """Return the answer: what can come back at once, else with a person, else nothing."""
    if quote.certain and quote.certain == quote.total:
        return _("You can get %(amount)s back") % {"amount": formatter.money(quote.certain)}
    if quote.total:
        return _("You can get up to %(amount)s back") % {"amount": formatter.money(quote.total)}
    if any(line.askable for line in quote.lines):
        return _("A person decides about this purchase")
    refunded = [line.verdict.reason == Reason.ALREADY_REFUNDED for line in quote.lines]
    if all(refunded):
        return _("This was already refunded, or is on its way to you")
    if any(refunded):
        return _("What can be refunded was already refunded, or is on its way to you")
    return _("Our policy does not refund this purchase")


def _row(line: QuoteLine, quote: Quote, choice: Choice, formatter: Formatter, uncounted: Sequence[str]) -> LineRow:
    explanation = explain_line(line.verdict, quote.document, line.facts, formatter)
    paid = Money(line.line.paid_minor, quote.purchase.currency)
    bought = line.line.quantity
    meta = formatter.money(paid) if bought == 1 else _("%(count)d for %(amount)s") % {"count": bought, "amount": formatter.money(paid)}
    anchor, cited = explanation.clause_anchor, explanation.clause_anchor and line.verdict.by_law is None
    faulty = quote.if_faulty(line)
    if_faulty = explain_line(faulty, quote.document, replace(line.facts, fault_reported=True), formatter) if faulty else None
    return LineRow(
        id=line.line.pk,
        name=line.line.name,
        meta=" · ".join(part for part in (line.line.product_type, meta) if part),
        amount=formatter.money(line.amount) if line.amount or not line.askable else "–",
        note=_note(line),
        explanation=explanation,
        if_faulty=if_faulty,
        evidence=_evidence(quote, faulty or line.verdict),
        fixes=fixes_of(line.line, was_used=line.facts.last_access_at is not None) if line.line.quantity_left > 0 else (),
        uncounted=uncounted,
        clause_url=content.policy_pages().policy_url(quote.version, anchor) if quote.version and cited else "",
        askable=line.askable,
        may_ask_person=_may_ask_person(line),
        ticked=line.askable and line.line.pk in choice.ticked,
        person_ticked=line.line.pk in choice.persons,
        quantity=line.quantity,
        quantities=range(1, min(line.max_quantity, MAX_LISTED_QUANTITY) + 1) if line.max_quantity > 1 else None,
    )


def _evidence(quote: Quote, verdict: LineVerdict) -> str:
    """Return what the clause that decides wants to see; "" when nothing."""
    clause = quote.document.clause(verdict.clause_anchor) if verdict.clause_anchor else None
    return str(getattr(clause, "evidence", "")).strip()


def _may_ask_person(line: QuoteLine) -> bool:
    """Whether the facts may be wrong, or the product faulty: a person may look at whatever was not refunded yet."""
    return not line.askable and line.verdict.reason not in (Reason.ALREADY_REFUNDED, Reason.NOTHING_PAID)


def _note(line: QuoteLine) -> str:
    if line.verdict.outcome == Outcome.REVIEW:
        return _("a person confirms") if line.amount else _("a person decides")
    if not line.askable:
        return _("already refunded") if line.verdict.reason == Reason.ALREADY_REFUNDED else _("not refundable")
    return _("all of it") if line.verdict.full else _("a part of it")


def _total(quote: Quote, choice: Choice, formatter: Formatter) -> Total:
    """Sum up what is ticked, in the very sums that asking would give."""
    ticked = [line for line in quote.lines if line.line.pk in choice.ticked and line.askable]
    amount = sum((line.amount for line in ticked), Money.zero(quote.purchase.currency))
    person = any(line.verdict.outcome == Outcome.REVIEW for line in ticked) or any(
        line.line.pk in choice.persons and _may_ask_person(line) for line in quote.lines
    )
    text = formatter.money(amount)
    if person:
        at_once = any(line.verdict.outcome == Outcome.APPROVE for line in ticked)
        note = _("A person looks at all of it first. What needs no person you can ask for by itself, and get at once.")
        return Total(
            text, note if at_once else _("A person looks at it first, usually within two working days."), _("Ask a person to look")
        )
    if not ticked:
        some = any(line.askable for line in quote.lines)
        note = _("Tick what you want your money back for.") if some else _("Tick above what a person should look at.")
        return Total(text, note, _("Ask for a refund") if some else _("Ask a person to look"))
    where = paid_with(payment for payment in quote.payments if payment.left)
    return Total(text, _("to %(where)s") % {"where": where} if where else "", _("Ask for %(amount)s back") % {"amount": text})
