"""What is wrong with a policy before it is published: errors stop publishing, warnings are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from refund_plugin.money import EXPONENTS
from refund_plugin.rules.clauses import ApprovingClause, Clause, NonRefundable, UnknownClause, UnusedOnly
from refund_plugin.rules.conditions import AtMost
from refund_plugin.rules.documents import PolicyDocument
from refund_plugin.rules.facts import MAX_WINDOW_DAYS, LineFacts
from refund_plugin.rules.findings import Finding, error, warning
from refund_plugin.rules.language import gettext_noop
from refund_plugin.rules.linting_law import about_law
from refund_plugin.rules.linting_order import about_order
from refund_plugin.rules.pro_rated import ProRated
from refund_plugin.rules.registered import registered_facts
from refund_plugin.rules.special_clauses import (
    CONFORMITY_DAYS,
    WITHDRAWAL_DAYS,
    Defective,
    DuplicatePurchase,
    Goodwill,
    StatutoryWithdrawal,
)

# Clauses are compared with each other, and a person must be able to read them.
MAX_CLAUSES = 500
# So many product types are named in one remark.
NAMED = 8


def lint(document: PolicyDocument) -> list[Finding]:
    """Return all findings, those about the whole policy first, then clause by clause."""
    if len(document.clauses) > MAX_CLAUSES:
        text = gettext_noop("A policy has at most %(most)d clauses; this one has %(found)d. Join some of them.")
        return [error("too_many_clauses", text, most=MAX_CLAUSES, found=len(document.clauses))]
    findings = [*_about_document(document), *about_law(document)]
    by_clause: list[list[Finding]] = [
        [replace(finding, anchor=clause.anchor, index=index) for finding in _about_clause(clause)]
        for index, clause in enumerate(document.clauses)
    ]
    for finding in about_order(document.clauses):
        by_clause[finding.index or 0].append(finding)
    return [*findings, *chain.from_iterable(by_clause)]


def about_sales(document: PolicyDocument, sold: Iterable[LineFacts]) -> list[Finding]:
    """Tell which product types of lines that were sold no clause is about, so that a person decides all of them.

    Args:
        sold: examples, such as what the shop sold lately.
    """
    about = [clause.selector for clause in document.clauses if not any(each.circumstance for each in clause.all_conditions())]
    types = {line.product_type or line.sku for line in sold if not any(selector.matches(line) for selector in about)} - {""}
    if not types:
        return []
    text = gettext_noop("You sell these, and no clause is about them, so a person decides: %(types)s.")
    named = sorted(types)
    return [warning("gap_sold", text, types=", ".join(named[:NAMED]) + (" …" if len(named) > NAMED else ""))]


def _about_document(document: PolicyDocument) -> Iterator[Finding]:
    if not document.clauses:
        yield error("no_clauses", gettext_noop("Add at least one clause: a policy without clauses decides nothing."))
    elif not any(_is_about_everything(clause) for clause in document.clauses):
        yield warning(
            "gap",
            gettext_noop(
                "No clause is about everything: what none of them is about goes to a person. Add a last clause without a selection."
            ),
        )
    for currency, limit in sorted(document.auto_approve_limit.items()):
        if limit < 0:
            yield error("limit_negative", gettext_noop("The limit for %(currency)s must be 0 or more."), currency=currency)


def _is_about_everything(clause: Clause) -> bool:
    return clause.selector.is_everything and not any(condition.circumstance for condition in clause.all_conditions())


def _about_clause(clause: Clause) -> Iterator[Finding]:
    if not clause.anchor:
        yield error("anchor_missing", gettext_noop("Give the clause an anchor, so that decisions can link to it."))
    window: int | None = getattr(clause, "window_days", None)
    if window is not None and not 1 <= window <= MAX_WINDOW_DAYS:
        yield error("window_range", gettext_noop("The window must be between 1 and %(most)d days."), most=MAX_WINDOW_DAYS)
    if isinstance(clause, ApprovingClause | Goodwill) and not 1 <= clause.percent <= 100:
        yield error("percent_range", gettext_noop("The part of the price must be between 1 and 100 percent."))
    if isinstance(clause, ProRated):
        if not 0 <= clause.fee_percent < 100:
            text = gettext_noop("The fee must be between 0 and 99 percent; use “not refundable” to give nothing back.")
            yield error("fee_range", text)
        if min(clause.fee_minor, clause.minimum_minor) < 0:
            yield error("amount_negative", gettext_noop("The fee and the least amount paid out must be 0 or more."))
        if (clause.fee_minor or clause.minimum_minor) and clause.currency not in EXPONENTS:
            yield error("currency_missing", gettext_noop("Choose the currency of the fee and of the least amount paid out."))
    if isinstance(clause, UnusedOnly):
        if not 0 <= clause.max_share_viewed_percent <= 100:
            yield error("share_range", gettext_noop("The share viewed must be between 0 and 100 percent."))
        if clause.max_downloads < 0 or clause.max_activations < 0:
            yield error("allowance_negative", gettext_noop("Allowed downloads and activations must be 0 or more."))
    if isinstance(clause, DuplicatePurchase) and not 0 <= clause.within_days <= MAX_WINDOW_DAYS:
        yield error("between_range", gettext_noop("The two purchases must be 0 to %(most)d days apart."), most=MAX_WINDOW_DAYS)
    if isinstance(clause, StatutoryWithdrawal) and clause.window_days < WITHDRAWAL_DAYS:
        text = gettext_noop("The law gives consumers %(days)d days to withdraw (Directive 2011/83/EU, article 9); this gives fewer.")
        yield error("withdrawal_short", text, days=WITHDRAWAL_DAYS)
    if isinstance(clause, Defective):
        if clause.window_days < CONFORMITY_DAYS:
            text = gettext_noop(
                "In the EU, consumers can claim a fault for two years, %(days)d days (Directive (EU) 2019/770, article 11). "
                "This is shorter."
            )
            yield warning("conformity_short", text, days=CONFORMITY_DAYS)
        if not clause.evidence.strip():
            yield warning("evidence_missing", gettext_noop("Say what customers should send, such as a picture of the error."))
    low, high = clause.selector.price_from_minor, clause.selector.price_to_minor
    if low is not None and high is not None and low > high:
        yield error("price_range", gettext_noop("The lowest price is above the highest: this clause can never apply."))
    if isinstance(clause, NonRefundable) and not clause.reason.strip():
        yield warning("reason_missing", gettext_noop("Give the reason: customers read it before they buy and in the answer."))
    yield from _about_requirements(clause)
    if isinstance(clause, UnknownClause):
        yield warning(
            "unknown_kind", gettext_noop("This kind of clause is not installed: every purchase that reaches it goes to a person.")
        )


def _about_requirements(clause: Clause) -> Iterator[Finding]:
    least: dict[str, int] = {}
    most: dict[str, int] = {each.name: each.limit for each in clause.conditions() if isinstance(each, AtMost)}
    for rule in clause.requires:
        if rule.compare == "at_most":
            most[rule.fact] = min(rule.number, most.get(rule.fact, rule.number))
        else:
            least[rule.fact] = max(rule.number, least.get(rule.fact, rule.number))
        fact = registered_facts().get(rule.fact)
        if fact is None:
            yield warning(
                "fact_unknown",
                gettext_noop("The fact “%(fact)s” is not installed: every purchase that reaches this goes to a person."),
                fact=rule.fact,
            )
        elif rule.number < 0 or (fact.unit == "percent" and rule.number > 100):
            yield error("fact_range", gettext_noop("“%(fact)s” cannot have the value %(value)d."), fact=rule.fact, value=rule.number)
    for name in sorted(least.keys() & most.keys()):
        if least[name] > most[name]:
            text = gettext_noop("“%(fact)s” must be at least %(least)d and at most %(most)d: this clause can never apply.")
            yield error("fact_contradiction", text, fact=name, least=least[name], most=most[name])
