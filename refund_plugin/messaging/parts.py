"""What letters about a request are made of: their frame, its lines with what becomes of each, and what an event names."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.utils.translation import gettext as _

from refund_plugin.errors import RefundPluginError
from refund_plugin.events.models import Event
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.messaging.letters import Letter, LineNote
from refund_plugin.money import Money
from refund_plugin.refunds.explaining import ExplainedLine, explain_decision
from refund_plugin.refunds.law import exact_time
from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.refunds.tracking import absolute_url, tracking_url


def request_letter(
    kind: str,
    request: RefundRequest,
    *,
    subject: str,
    heading: str,
    paragraphs: tuple[str, ...],
    amount: str = "",
    name: str = "",
    quote: str = "",
    lines: tuple[LineNote, ...] = (),
    rows: tuple[tuple[str, str], ...] = (),
    link_text: str = "",
) -> Letter:
    """Write a letter about a request, with what people look up later.

    Args:
        subject, heading: may have the places `%(amount)s`, `%(name)s`, `%(reference)s` and `%(store)s`.
    """
    language = formatter_of(request)
    values = {"amount": amount, "name": name, "reference": request.reference, "store": request.store.name}
    return Letter(
        kind=kind,
        customer=request.customer,
        request=request,
        subject=subject % values,
        heading=heading % values,
        paragraphs=paragraphs,
        quote=quote,
        lines=lines,
        rows=(
            (_("Reference"), request.reference),
            (_("Order"), request.purchase.number),
            (_("Asked"), language.datetime(request.created_at)),
            *_withdrawal_rows(request, language),
            *rows,
        ),
        link_text=link_text or _("Follow your refund request"),
        link_url=tracking_url(request),
    )


def _withdrawal_rows(request: RefundRequest, language: Formatter) -> tuple[tuple[str, str], ...]:
    if request.withdrawn_at is None or request.reimburse_by is None:
        return ()
    received = (_("Withdrawal received"), exact_time(request.withdrawn_at, language))
    return (received, (_("Money due back by"), language.date(request.reimburse_by)))


def formatter_of(request: RefundRequest) -> Formatter:
    """Return how amounts and dates are written in the active language and the store's time zone."""
    return formatter_for(timezone=request.store.timezone)


def decision_of(event: Event, request: RefundRequest | None) -> Decision | None:
    """Return the decision that an event is about; None when it is about none of the request's."""
    if request is None:
        return None
    return next((decision for decision in request.decisions.all() if decision.pk == event.payload.get("decision")), None)


def refund_of(event: Event, request: RefundRequest | None) -> Refund | None:
    """Return the refund that an event is about; None when it is about none of the request's."""
    if request is None:
        return None
    refund_id = UUID(str(event.payload["refund"]))
    return next((refund for refund in request.refunds.all() if refund.pk == refund_id), None)


def names_of(request: RefundRequest) -> dict[int, str]:
    """Return what was asked for by line id: "Grain Pack × 2"."""
    return {
        item.line_id: f"{item.line.name} × {item.quantity}" if item.quantity > 1 or item.line.quantity > 1 else item.line.name
        for item in request.lines.all()
    }


def notes_of(request: RefundRequest, decision: Decision) -> tuple[LineNote, ...]:
    """Return every line with what was granted and, for the policy's own decision, the reason with its clause."""
    language = formatter_of(request)
    explained = _explained(decision, language)
    notes = []
    for line_id, name in names_of(request).items():
        granted = int(decision.amounts.get(str(line_id), 0))
        value = language.money(Money(granted, decision.currency)) if granted else _("not refunded")
        told = explained.get(line_id)
        url = told.clause_url if told else ""
        notes.append(
            LineNote(
                name=name,
                value=value,
                explanation=told.explanation if told else None,
                url=absolute_url(url) if url.startswith("/") else url,
                tells_all=not granted,
            )
        )
    return tuple(notes)


def _explained(decision: Decision, language: Formatter) -> Mapping[int, ExplainedLine]:
    try:
        return explain_decision(decision, version=decision.policy_version, formatter=language)
    except RefundPluginError:
        # a version that can no longer be read must not keep the answer from the customer
        return {}
