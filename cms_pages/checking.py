"""What the linter says about a policy page: its clauses, its words, its translations and what the shop really sells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from wagtail.models import Locale

from cms_pages.blocks import fill_anchors
from cms_pages.documents import document_of
from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.orders.models import PurchaseLine
from refund_plugin.policies.queries import localized, policy_for_key
from refund_plugin.refunds.undecided import undecided_by_clause
from refund_plugin.rules import Clause, Finding, LineFacts, PolicyDocument, about_sales, describe_clause, lint
from refund_plugin.rules.linting_prose import lint_prose, lint_translation
from refund_plugin.staff.permissions import policy as policy_of_cases

# How far back and how many of the lines that were sold are looked at.
SOLD_DAYS = 90
SOLD_LINES = 500
# More remarks at once help nobody; the rest is counted.
SHOWN = 25


@dataclass(frozen=True, slots=True)
class LeftToPeople:
    """What a clause could not decide lately; `cases` are (reference, address), for those who may read cases."""

    title: str
    why: str
    requests: int
    cases: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding as an editor reads it; `place` names the clause, "" for the whole policy."""

    severity: str
    code: str
    place: str
    text: str


def findings_of(page: Any) -> list[Finding]:
    """Return all findings about what a page holds, as it is in memory; clauses of a translation are its source's."""
    source = page.source
    fill_anchors(source.clauses)
    document = document_of(source.clauses, source.limits)
    locale = page.locale.language_code
    if source is not page:
        return [*lint_prose(document, page.texts, locale), *lint_translation(document, source.texts, page.texts, locale)]
    findings = lint(document)
    if any(finding.code == "gap" for finding in findings):
        findings += about_sales(document, sold_lately(page))
    findings += lint_prose(document, page.texts, locale)
    translations = {other.locale_id: other.texts for other in live_translations(page)}
    for other in Locale.objects.exclude(pk=page.locale_id).order_by("language_code"):
        findings += lint_translation(document, page.texts, translations.get(other.pk), other.language_code)
    return findings


def remarks_of(page: Any) -> list[Remark]:
    """Return the findings in words, what stops publishing first."""
    findings = sorted(findings_of(page), key=lambda finding: finding.severity)
    document = localized(document_of(page.source.clauses, page.source.limits), page.texts)
    language = formatter_for(timezone=page.store.timezone)
    return [Remark(finding.severity, finding.code, _place(finding, document, language), finding.text(_)) for finding in findings]


def live_translations(page: Any) -> QuerySet[Any]:
    """Return the published pages in other languages."""
    return (
        type(page).objects.live().filter(translation_key=page.translation_key, alias_of=None).exclude(pk=page.pk).select_related("locale")
    )


def sold_lately(page: Any) -> Sequence[LineFacts]:
    """Return one example of each sort of product that the page's shop sold lately; nothing for the editors of another site's shop."""
    if not page.is_policy_of(page.store):
        return ()
    now = clock.now()
    lines = (
        PurchaseLine.objects.filter(purchase__store=page.store, purchase__purchased_at__gte=now - timedelta(days=SOLD_DAYS))
        .select_related("purchase")
        .order_by("-pk")[:SOLD_LINES]
    )
    sorts = {
        (line.product_type, line.sku, line.purchase.country, line.purchase.channel, line.paid_minor, line.quantity): line for line in lines
    }
    return [
        LineFacts(
            line_id="",
            currency=line.purchase.currency,
            paid_minor=line.paid_minor,
            quantity=line.quantity,
            purchased_at=now,
            now=now,
            sku=line.sku,
            product_type=line.product_type,
            categories=frozenset(line.categories),
            tags=frozenset(line.tags),
            nature=line.nature,
            country=line.purchase.country,
            channel=line.purchase.channel,
        )
        for line in sorts.values()
    ]


def left_to_people(page: Any, user: Any) -> list[LeftToPeople]:
    """Return which clauses could not decide in the last days, why, and for whom.

    Args:
        user: the editor; references and links are for those only who may read cases.
    """
    policy = policy_for_key(page.policy_key)
    if policy is None:
        return []
    may_read = policy_of_cases.user_has_permission(user, Action.VIEW_CASES.value)
    titles = {clause.anchor: clause for clause in document_of(page.clauses, page.limits).clauses}
    language = formatter_for(timezone=page.store.timezone)
    found = []
    for each in undecided_by_clause(policy=policy, now=clock.now()):
        clause = titles.get(each.anchor)
        cases = [(reference, reverse("refund_cases:case", args=[pk])) for pk, reference in each.newest] if may_read else []
        title = describe_clause(clause, language).title if clause else each.anchor
        found.append(LeftToPeople(title, _why(each.unknown, clause, language), each.requests, cases))
    return found


def _why(unknown: set[str], clause: Clause | None, language: Formatter) -> str:
    if "understood" in unknown or clause is None:
        return _("The clause could not be read: it is not complete, or its plug-in is not installed.")
    labels = {getattr(each, "fact", each.name): each.label(language) for each in clause.all_conditions()}
    named = sorted(labels.get(name, name) for name in unknown)
    return _("Not known: %(facts)s.") % {"facts": ", ".join(named)}


def _place(finding: Finding, document: PolicyDocument, language: Formatter) -> str:
    if finding.index is None:
        return ""
    title = describe_clause(document.clauses[finding.index], language).title
    return _("Clause %(number)d, “%(title)s”") % {"number": finding.index + 1, "title": title}
