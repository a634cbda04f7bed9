"""Sentences and cards that several customer pages show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from refund_plugin import content
from refund_plugin.localize import Formatter
from refund_plugin.orders.models import Payment, Purchase
from refund_plugin.policies.queries import version_in_force
from refund_plugin.policies.wording import document_for
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.states import RequestState, Settlement
from refund_plugin.refunds.timeline import Timeline, payment_name, settlement_of, unbroken
from refund_plugin.refunds.tracking import tracking_token
from refund_plugin.rules import PolicyDocument, describe_clause
from refund_plugin.stores.models import Store
from refund_plugin.web.proof import purchase_page

MAX_NAMES = 3


@dataclass(frozen=True, slots=True)
class Card:
    """One row of a list: where it leads, what it is, and a label coloured by `tone`."""

    url: str
    title: str
    meta: str
    tag: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a rule of the policy wants to see, in the editor's words."""

    title: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """The policy of today in short: one bullet per clause, where to read all of it ("" when nowhere), and what clauses want to see."""

    bullets: Sequence[str]
    url: str
    wanted: Sequence[Wanted]


def conditions_of(store: Store, formatter: Formatter, *, now: datetime) -> Conditions | None:
    """Return what a customer should know before asking; None when the store has no policy."""
    version = version_in_force(store_id=store.pk, at=now)
    if version is None:
        return None
    document = document_for(version, formatter.locale)
    bullets = [describe_clause(clause, formatter).bullet for clause in document.clauses]
    return Conditions(bullets=bullets, url=content.policy_pages().current_policy_url(store.pk), wanted=evidence_wanted(document, formatter))


def evidence_wanted(document: PolicyDocument, formatter: Formatter) -> list[Wanted]:
    """Return what the clauses of a policy want to see; `document` is in the customer's language."""
    found = [(clause, str(getattr(clause, "evidence", "")).strip()) for clause in document.clauses]
    return [Wanted(clause.heading(formatter), evidence) for clause, evidence in found if evidence]


def masked(email: str) -> str:
    """Return an address that its owner recognises and nobody else learns: `a•••@example.com`."""
    name, _at, domain = email.partition("@")
    return f"{name[:1]}•••@{domain}"


def listed(names: Sequence[str]) -> str:
    """Join names for a sentence: "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return _("%(names)s and %(last)s") % {"names": ", ".join(names[:-1]), "last": names[-1]}


def paid_with(payments: Iterable[Payment]) -> str:
    """Name the means of payment that money goes back to."""
    return unbroken(listed(list(dict.fromkeys(payment_name(payment) for payment in payments))))


def purchase_cards(purchases: Iterable[Purchase], formatter: Formatter, *, list_token: str = "") -> list[Card]:
    """Return a card per purchase; its lines are prefetched."""
    cards = []
    for purchase in purchases:
        lines = list(purchase.lines.all())
        names = [line.name for line in lines[:MAX_NAMES]]
        if len(lines) > MAX_NAMES:
            more = len(lines) - MAX_NAMES
            names.append(ngettext("%(count)d more", "%(count)d more", more) % {"count": more})
        meta = _("Order %(number)s, bought on %(date)s") % {"number": purchase.number, "date": formatter.date(purchase.purchased_at)}
        gone = bool(lines) and not any(line.quantity_left for line in lines)
        tag = _("Refunded or on its way") if gone else ""
        cards.append(Card(url=purchase_page(purchase, list_token=list_token), title=listed(names), meta=meta, tag=tag))
    return cards


def request_cards(requests: Iterable[RefundRequest], formatter: Formatter) -> list[Card]:
    """Return a card per request; its lines, decisions and refunds are prefetched."""
    cards = []
    for request in requests:
        tag, tone = status_tag(request.state, settlement_of(list(request.refunds.all())))
        meta = _("Refund %(reference)s, order %(number)s, asked on %(date)s") % {
            "reference": request.reference,
            "number": request.purchase.number,
            "date": formatter.date(request.created_at),
        }
        title = listed([item.line.name for item in request.lines.all()])
        cards.append(Card(url=reverse("refund_plugin:track", args=[tracking_token(request)]), title=title, meta=meta, tag=tag, tone=tone))
    return cards


def status_tag(state: str, settlement: Settlement) -> tuple[str, str]:
    """Return a request's status in a few words, and its tone: yes, part, no or wait."""
    if state == RequestState.APPROVED:
        return {
            Settlement.COMPLETE: (_("Refunded"), "yes"),
            Settlement.NEEDS_PERSON: (_("Delayed"), "part"),
            Settlement.STOPPED: (_("With your bank"), "part"),
            Settlement.GIVEN_UP: (_("Closed"), "no"),
        }.get(settlement, (_("On its way"), "wait"))
    return {
        RequestState.DECLINED: (_("Declined"), "no"),
        RequestState.CANCELED: (_("Taken back"), ""),
        RequestState.NEEDS_EVIDENCE: (_("Your answer is needed"), "part"),
    }.get(RequestState(state), (_("A person looks at it"), "wait"))


def status_headline(timeline: Timeline, *, amount: str, where: str) -> str:
    """Return the answer in one line for the top of the tracking page."""
    values = {"amount": amount, "where": where}
    texts = {
        "approved": _("%(amount)s are about to be sent"),
        "waiting_subscription": _("%(amount)s are sent once the subscription has ended"),
        "sending": _("%(amount)s are on their way to %(where)s"),
        "refunded": _("%(amount)s went back to %(where)s"),
        "needs_person": _("Your %(amount)s are taking longer than usual"),
        "disputed": _("Your bank decides about this payment"),
        "given_up": _("This refund is closed"),
        RequestState.DECLINED: _("We cannot refund this"),
        RequestState.CANCELED: _("You took this request back"),
        RequestState.NEEDS_EVIDENCE: _("We need an answer from you"),
    }
    return texts.get(timeline.status_code, _("A person looks at your request")) % values
