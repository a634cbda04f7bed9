"""What is wrong with a policy before it is published: errors stop publishing, warnings are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from refund_plugin.money import EXPONENTS
from refund_plugin.rules.clauses import ApprovingClause, Clause, NonRefundable, UnknownClause, UnusedOnly
from refund_plugin.rules.documents import PolicyDocument
from refund_plugin.rules.facts import MAX_WINDOW_DAYS
from refund_plugin.rules.language import gettext_noop
from refund_plugin.rules.pro_rated import ProRated
from refund_plugin.rules.registered import FactRule, registered_facts
from refund_plugin.rules.special_clauses import (
    CONFORMITY_DAYS,
    WITHDRAWAL_DAYS,
    Defective,
    DuplicatePurchase,
    Goodwill,
    StatutoryWithdrawal,
)

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark.

    Attributes:
        code: stable.
        message_id: English text with %(name)s placeholders, translated by `text`.
        anchor: of the clause, "" when it is about the whole policy.
        index: of the clause, from 0; None when it is about the whole policy.
        params: for the placeholders.
    """

    severity: Severity
    code: str
    message_id: str
    anchor: str = ""
    index: int | None = None
    params: tuple[tuple[str, str | int], ...] = ()

    def text(self, gettext: Callable[[str], str] = str) -> str:
        """Return the message for people, translated by `gettext`."""
        return gettext(self.message_id) % dict(self.params)


def lint(document: PolicyDocument) -> list[Finding]:
    """Return all findings, those about the whole policy first, then clause by clause."""
    findings = list(_about_document(document))
    for index, clause in enumerate(document.clauses):
        findings += [replace(finding, anchor=clause.anchor, index=index) for finding in _about_clause(clause)]
        findings += [replace(finding, anchor=clause.anchor, index=index) for finding in _about_order(document.clauses, index)]
    return findings


def _error(code: str, message_id: str, **params: str | int) -> Finding:
    return Finding("error", code, message_id, params=tuple(params.items()))


def _warning(code: str, message_id: str, **params: str | int) -> Finding:
    return Finding("warning", code, message_id, params=tuple(params.items()))


def _about_document(document: PolicyDocument) -> Iterator[Finding]:
    if not document.clauses:
        yield _error("no_clauses", gettext_noop("Add at least one clause: a policy without clauses decides nothing."))
    elif not any(_is_about_everything(clause) for clause in document.clauses):
        yield _warning(
            "gap",
            gettext_noop(
                "No clause is about everything: what none of them is about goes to a person. Add a last clause without a selection."
            ),
        )
    for currency, limit in sorted(document.auto_approve_limit.items()):
        if limit < 0:
            yield _error("limit_negative", gettext_noop("The limit for %(currency)s must be 0 or more."), currency=currency)


def _is_about_everything(clause: Clause) -> bool:
    return clause.selector.is_everything and not any(condition.circumstance for condition in clause.all_conditions())


def _about_clause(clause: Clause) -> Iterator[Finding]:
    if not clause.anchor:
        yield _error("anchor_missing", gettext_noop("Give the clause an anchor, so that decisions can link to it."))
    window: int | None = getattr(clause, "window_days", None)
    if window is not None and not 1 <= window <= MAX_WINDOW_DAYS:
        yield _error("window_range", gettext_noop("The window must be between 1 and %(most)d days."), most=MAX_WINDOW_DAYS)
    if isinstance(clause, ApprovingClause | Goodwill) and not 1 <= clause.percent <= 100:
        yield _error("percent_range", gettext_noop("The part of the price must be between 1 and 100 percent."))
    if isinstance(clause, ProRated):
        if not 0 <= clause.fee_percent < 100:
            text = gettext_noop("The fee must be between 0 and 99 percent; use “not refundable” to give nothing back.")
            yield _error("fee_range", text)
        if min(clause.fee_minor, clause.minimum_minor) < 0:
            yield _error("amount_negative", gettext_noop("The fee and the least amount paid out must be 0 or more."))
        if (clause.fee_minor or clause.minimum_minor) and clause.currency not in EXPONENTS:
            yield _error("currency_missing", gettext_noop("Choose the currency of the fee and of the least amount paid out."))
    if isinstance(clause, UnusedOnly):
        if not 0 <= clause.max_share_viewed_percent <= 100:
            yield _error("share_range", gettext_noop("The share viewed must be between 0 and 100 percent."))
        if clause.max_downloads < 0 or clause.max_activations < 0:
            yield _error("allowance_negative", gettext_noop("Allowed downloads and activations must be 0 or more."))
    if isinstance(clause, DuplicatePurchase) and not 0 <= clause.within_days <= MAX_WINDOW_DAYS:
        yield _error("between_range", gettext_noop("The two purchases must be 0 to %(most)d days apart."), most=MAX_WINDOW_DAYS)
    if isinstance(clause, StatutoryWithdrawal) and clause.window_days < WITHDRAWAL_DAYS:
        text = gettext_noop("The law gives consumers %(days)d days to withdraw (Directive 2011/83/EU, article 9); this gives fewer.")
        yield _error("withdrawal_short", text, days=WITHDRAWAL_DAYS)
    if isinstance(clause, Defective):
        if clause.window_days < CONFORMITY_DAYS:
            text = gettext_noop(
                "In the EU, consumers can claim a fault for two years, %(days)d days (Directive (EU) 2019/770, article 11). "
                "This is shorter."
            )
            yield _warning("conformity_short", text, days=CONFORMITY_DAYS)
        if not clause.evidence.strip():
            yield _warning("evidence_missing", gettext_noop("Say what customers should send, such as a picture of the error."))
    low, high = clause.selector.price_from_minor, clause.selector.price_to_minor
    if low is not None and high is not None and low > high:
        yield _error("price_range", gettext_noop("The lowest price is above the highest: this clause can never apply."))
    if isinstance(clause, NonRefundable) and not clause.reason.strip():
        yield _warning("reason_missing", gettext_noop("Give the reason: customers read it before they buy and in the answer."))
    yield from _about_requirements(clause.requires)
    if isinstance(clause, UnknownClause):
        yield _warning(
            "unknown_kind", gettext_noop("This kind of clause is not installed: every purchase that reaches it goes to a person.")
        )


def _about_requirements(rules: tuple[FactRule, ...]) -> Iterator[Finding]:
    least: dict[str, int] = {}
    most: dict[str, int] = {}
    for rule in rules:
        if rule.compare == "at_most":
            most[rule.fact] = min(rule.number, most.get(rule.fact, rule.number))
        else:
            least[rule.fact] = max(rule.number, least.get(rule.fact, rule.number))
        fact = registered_facts().get(rule.fact)
        if fact is None:
            yield _warning(
                "fact_unknown",
                gettext_noop("The fact “%(fact)s” is not installed: every purchase that reaches this goes to a person."),
                fact=rule.fact,
            )
        elif rule.number < 0 or (fact.unit == "percent" and rule.number > 100):
            yield _error("fact_range", gettext_noop("“%(fact)s” cannot have the value %(value)d."), fact=rule.fact, value=rule.number)
    for name in sorted(least.keys() & most.keys()):
        if least[name] > most[name]:
            text = gettext_noop("“%(fact)s” must be at least %(least)d and at most %(most)d: this clause can never apply.")
            yield _error("fact_contradiction", text, fact=name, least=least[name], most=most[name])


def _about_order(clauses: tuple[Clause, ...], index: int) -> Iterator[Finding]:
    clause, number = clauses[index], 0
    for number, earlier in enumerate(clauses[:index], 1):
        if clause.anchor and earlier.anchor == clause.anchor:
            yield _error("duplicate_anchor", gettext_noop("Clause %(number)d has the same anchor; each needs its own."), number=number)
        if _same(earlier, clause):
            yield _warning("duplicate_clause", gettext_noop("This says the same as clause %(number)d."), number=number)
            return
    for number, earlier in enumerate(clauses[:index], 1):
        if _decides_before(earlier, clause):
            yield _error(
                "unreachable",
                gettext_noop("This clause can never apply: clause %(number)d always decides first. Move it up or change one of them."),
                number=number,
            )
            return


def _same(one: Clause, other: Clause) -> bool:
    return type(one) is type(other) and replace(one, anchor="", title="") == replace(other, anchor="", title="")


def _decides_before(earlier: Clause, later: Clause) -> bool:
    """Tell whether `earlier` concerns all that `later` does and holds wherever `later` would."""
    if isinstance(earlier, UnknownClause) or isinstance(later, UnknownClause):
        return False
    return earlier.selector.covers(later.selector) and all(
        any(condition.implied_by(other) for other in later.all_conditions()) for condition in earlier.all_conditions()
    )
