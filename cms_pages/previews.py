"""How editors look at a draft: with the linter's remarks, as a customer reads it, and as it would judge a past purchase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from cms_pages.blocks import fill_anchors
from cms_pages.documents import document_of
from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.orders.queries import clean_number
from refund_plugin.policies.queries import localized
from refund_plugin.refunds.quote import judge_facts, quote_purchase
from refund_plugin.rules import LineFacts, LineVerdict, PolicyDocument, explain_line
from refund_plugin.staff.permissions import policy as policy_of_cases

REMARKS, CUSTOMER, PURCHASE = "", "customer", "purchase"
MODES = [(REMARKS, _("With the checks")), (CUSTOMER, _("As a customer")), (PURCHASE, _("For a past purchase"))]
# The number that was looked up last; every change of the draft draws the preview anew.
SESSION_KEY = "refund_preview_order"
LONGEST_NUMBER = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What one policy says about a line."""

    tag: str
    tag_text: str
    sentence: str
    amount: str


@dataclass(frozen=True, slots=True)
class JudgedLine:
    """One line of a past purchase, judged by the draft and by the version of its day."""

    name: str
    draft: Answer
    then: Answer

    @property
    def differs(self) -> bool:
        """Whether the draft answers otherwise."""
        return (self.draft.tag, self.draft.amount) != (self.then.tag, self.then.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchasePreview:
    """What the preview of a past purchase shows.

    Attributes:
        allowed: False for an editor who may not read purchases; nothing is looked up then.
        number: what was looked up; "" when nothing was yet.
        version: number of the version of the purchase's day; None when there was none.
    """

    allowed: bool
    number: str = ""
    found: bool = False
    bought: str = ""
    version: int | None = None
    lines: tuple[JudgedLine, ...] = ()


def asked_number(request: HttpRequest | None) -> str:
    """Return the order number that the editor looks up: the one just typed, else the last one of this session."""
    if request is None:
        return ""
    if "order" in request.GET:
        request.session[SESSION_KEY] = request.GET["order"][:LONGEST_NUMBER]
    return str(request.session.get(SESSION_KEY, ""))


def preview_purchase(page: Any, *, user: Any, number: str) -> PurchasePreview:
    """Judge a past purchase of the page's shop by the draft; changes nothing.

    Args:
        user: must be allowed to read purchases.
    """
    if not policy_of_cases.user_has_permission(user, Action.VIEW_CASES.value):
        return PurchasePreview(allowed=False)
    wanted = clean_number(number)
    purchase = Purchase.objects.filter(store=page.store, number__iexact=wanted).select_related("store").first() if wanted else None
    if purchase is None:
        return PurchasePreview(allowed=True, number=wanted)
    source = page.source
    fill_anchors(source.clauses)
    draft = localized(document_of(source.clauses, source.limits), page.texts)
    quote = quote_purchase(purchase=purchase, now=clock.now())
    language = formatter_for(timezone=purchase.store.timezone)
    lines = []
    for line in quote.lines:
        facts, verdict = judge_facts(draft, line.facts, step=quote.step, kept_from=None)
        then = _answer(line.verdict, quote.document, line.facts, language)
        lines.append(JudgedLine(line.line.name, _answer(verdict, draft, facts, language), then))
    return PurchasePreview(
        allowed=True,
        number=wanted,
        found=True,
        bought=language.date(purchase.purchased_at),
        version=quote.version.number if quote.version else None,
        lines=tuple(lines),
    )


def _answer(verdict: LineVerdict, document: PolicyDocument, facts: LineFacts, language: Formatter) -> Answer:
    said = explain_line(verdict, document, facts, language)
    amount = language.money(Money(verdict.amount_minor, verdict.currency)) if verdict.amount_minor else ""
    return Answer(said.tag, said.tag_text, said.sentence, amount)
