"""Verdicts and clauses in plain words, rendered from the values that decided: there is no second set of rules here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from refund_plugin.money import Money
from refund_plugin.rules.clauses import Clause
from refund_plugin.rules.documents import PolicyDocument
from refund_plugin.rules.facts import LineFacts, Reading
from refund_plugin.rules.floor_clauses import clause_by_law
from refund_plugin.rules.language import TITLE_SLOT, Language, gettext_noop
from refund_plugin.rules.selectors import Selector
from refund_plugin.rules.tried import ClauseNote, note_clauses
from refund_plugin.rules.verdicts import LineVerdict, Outcome, Reason

Tag = Literal["yes", "part", "no", "wait"]
CLAUSE = "%(clause)s"


class FactLine(NamedTuple):
    """One fact that was used: "Downloads", "0 (0 allowed)"."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineExplanation:
    """What a door shows for one line.

    Attributes:
        before, clause_title, after: the sentence in three parts, so that the title can be a link to `clause_anchor`;
            no clause is cited when the title is "".
        hint: what waiting would cost; "" when nothing.
        tag_text: a few words with the date the right to ask ends, for a label coloured by `tag`.
        ends: when the right to ask ends, as a sentence with date and time; "" when it does not end or has no answer to keep.
        considered: every clause that was tried, up to the one that decides.
    """

    headline: str
    before: str
    clause_title: str
    after: str
    clause_anchor: str
    hint: str
    facts: tuple[FactLine, ...]
    tag: Tag
    tag_text: str
    ends: str
    considered: tuple[ClauseNote, ...]

    @property
    def sentence(self) -> str:
        """The reason in one piece."""
        return f"{self.before}{self.clause_title}{self.after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseText:
    """A clause for readers of the policy: heading, plain sentences, one line for a footer."""

    title: str
    summary: str
    bullet: str


def explain_line(verdict: LineVerdict, document: PolicyDocument, facts: LineFacts, language: Language) -> LineExplanation:
    """Say what `evaluate(document, facts)` answered, in the reader's language; dates are the customer's."""
    clause = _clause(verdict, document)
    reading = Reading(facts)
    # every sentence that names an amount has one above 0; writing it is the slowest part of a short "no"
    amount = language.money(Money(verdict.amount_minor, verdict.currency)) if verdict.amount_minor else ""
    text = _reason(verdict, clause, reading, amount, language)
    title = clause.heading(language) if clause and CLAUSE in text else ""
    if clause:
        text = text.replace(CLAUSE, clause.mention(language))
    before, _, after = text.partition(TITLE_SLOT)
    hint = ""
    if clause and verdict.next_amount_minor is not None:
        hint = clause.hint(language.money(Money(verdict.next_amount_minor, verdict.currency)), language)
    tag, tag_text = _tag(verdict, reading, language)
    return LineExplanation(
        headline=_headline(verdict, amount, language),
        before=before[:1].upper() + before[1:],
        clause_title=title,
        after=after,
        clause_anchor=verdict.clause_anchor if title else "",
        hint=hint,
        facts=_fact_lines(verdict, clause, language),
        tag=tag,
        tag_text=tag_text,
        ends=_ends(verdict, reading, language),
        considered=note_clauses(verdict, document, language),
    )


def describe_clause(clause: Clause, language: Language, currency: str = "") -> ClauseText:
    """Describe a clause from its values.

    Args:
        currency: the store's, to write the selector's prices; without it they are only mentioned.
    """
    scope = describe_selector(clause.selector, language, currency)
    summary, bullet = clause.summary(language), clause.bullet(language)
    if clause.requires:
        rules = "; ".join(rule.allowance(language) for rule in clause.requires)
        summary = language.gettext("%(summary)s This needs: %(rules)s.") % {"summary": summary, "rules": rules}
        bullet = language.gettext("%(bullet)s (%(rules)s)") % {"bullet": bullet, "rules": rules}
    if scope:
        summary = language.gettext("For %(scope)s. %(summary)s") % {"scope": scope, "summary": summary}
        # the editor's own title says more to a customer than the codes of the selector
        bullet = f"{clause.title or language.gettext('For %(scope)s') % {'scope': scope}}: {bullet[:1].lower()}{bullet[1:]}"
    return ClauseText(title=clause.heading(language), summary=summary, bullet=bullet)


def describe_selector(selector: Selector, language: Language, currency: str = "") -> str:
    """Say what a selector selects, to follow "for"; "" when it is everything."""
    parts = [
        language.gettext(text).replace("%(values)s", ", ".join(sorted(values)))
        for text, values in (
            ("%(values)s", selector.product_types),
            (gettext_noop("the products %(values)s"), selector.skus),
            (gettext_noop("the categories %(values)s"), selector.categories),
            (gettext_noop("what is tagged %(values)s"), selector.tags),
            (gettext_noop("purchases in %(values)s"), selector.channels),
            (gettext_noop("customers in %(values)s"), selector.countries),
        )
        if values
    ]
    if selector.nature == "content":
        parts.append(language.gettext("digital content"))
    elif selector.nature == "service":
        parts.append(language.gettext("digital services"))
    low, high = selector.price_from_minor, selector.price_to_minor
    if (low is not None or high is not None) and not currency:
        parts.append(language.gettext("certain prices"))
    if low is not None and currency:
        parts.append(language.gettext("prices from %(amount)s") % {"amount": language.money(Money(low, currency))})
    if high is not None and currency:
        parts.append(language.gettext("prices up to %(amount)s") % {"amount": language.money(Money(high, currency))})
    return "; ".join(parts)


def _clause(verdict: LineVerdict, document: PolicyDocument) -> Clause | None:
    if verdict.by_law is not None:
        return clause_by_law(*verdict.by_law)
    return None if verdict.clause_index is None else document.clauses[verdict.clause_index]


def _reason(verdict: LineVerdict, clause: Clause | None, reading: Reading, amount: str, language: Language) -> str:
    if clause is None:
        return language.gettext(_WITHOUT_CLAUSE[verdict.reason])
    text = _WITH_CLAUSE[verdict.reason](verdict, clause, reading, amount, language)
    if verdict.by_law is None:
        return text
    if verdict.outcome is Outcome.APPROVE or verdict.reason is Reason.ABOVE_LIMIT:
        return language.gettext("The law gives you more than this policy: %(reason)s").replace("%(reason)s", text)
    return language.gettext("The law may give you more than this policy: %(reason)s").replace("%(reason)s", text)


_WITHOUT_CLAUSE = {
    Reason.NO_CLAUSE: gettext_noop("Our refund policy does not say anything about this, so a person looks at it."),
    Reason.ALREADY_REFUNDED: gettext_noop("All of this was already refunded, or is on its way to you."),
    Reason.NOTHING_PAID: gettext_noop("You paid nothing for this, so there is nothing to give back."),
}


def _missed(verdict: LineVerdict, clause: Clause, reading: Reading, amount: str, language: Language) -> str:
    pairs = zip(clause.all_conditions(), verdict.conditions, strict=True)
    condition, result = next((condition, result) for condition, result in pairs if result.known and not result.met)
    return condition.missed(result, reading, language)


def _unknown(verdict: LineVerdict, clause: Clause, reading: Reading, amount: str, language: Language) -> str:
    pairs = zip(clause.all_conditions(), verdict.conditions, strict=True)
    labels = ", ".join(condition.label(language) for condition, result in pairs if not result.known)
    text = language.gettext("%(clause)s needs a fact that we do not have yet (%(facts)s), so a person looks at it.")
    return text.replace("%(facts)s", labels)


_WITH_CLAUSE: dict[Reason, Callable[[LineVerdict, Clause, Reading, str, Language], str]] = {
    Reason.CLAUSE_HOLDS: lambda verdict, clause, reading, amount, language: clause.because(verdict, amount, language),
    Reason.NON_REFUNDABLE: lambda verdict, clause, reading, amount, language: clause.because(verdict, amount, language),
    Reason.CONDITIONS_MISSED: _missed,
    Reason.FACT_MISSING: _unknown,
    Reason.UNKNOWN_CLAUSE: lambda verdict, clause, reading, amount, language: language.gettext(
        "%(clause)s needs a person to read it, so a person looks at it."
    ),
    Reason.CLAUSE_REVIEWS: lambda verdict, clause, reading, amount, language: clause.reviewing(verdict, amount, language),
    Reason.ABOVE_LIMIT: lambda verdict, clause, reading, amount, language: language.gettext(
        "%(clause)s gives you %(amount)s back; a person confirms amounts of this size."
    ).replace("%(amount)s", amount),
    Reason.AMOUNT_ZERO: lambda verdict, clause, reading, amount, language: language.gettext(
        "By %(clause)s, what is left is too little to be paid out."
    ),
}


def _headline(verdict: LineVerdict, amount: str, language: Language) -> str:
    if verdict.outcome is Outcome.APPROVE:
        return language.gettext("You can get %(amount)s back") % {"amount": amount}
    if verdict.outcome is Outcome.REVIEW:
        return language.gettext("A person will look at this")
    if verdict.reason is Reason.ALREADY_REFUNDED:
        return language.gettext("Already refunded")
    return language.gettext("This cannot be refunded")


def _tag(verdict: LineVerdict, reading: Reading, language: Language) -> tuple[Tag, str]:
    if verdict.outcome is Outcome.REVIEW:
        return "wait", language.gettext("A person looks at it")
    if verdict.outcome is Outcome.DECLINE:
        gone = verdict.reason is Reason.ALREADY_REFUNDED
        return "no", language.gettext("Already refunded") if gone else language.gettext("Not refundable")
    date = "" if verdict.ask_until is None else language.date(reading.local(verdict.ask_until))
    if verdict.full:
        text = language.gettext("Refundable until %(date)s") if date else language.gettext("Refundable")
        return "yes", text.replace("%(date)s", date)
    text = language.gettext("Refundable in part until %(date)s") if date else language.gettext("Refundable in part")
    return "part", text.replace("%(date)s", date)


def _ends(verdict: LineVerdict, reading: Reading, language: Language) -> str:
    if verdict.ask_until is None:
        return ""
    text = language.gettext("You can ask for this until %(moment)s.")
    return text % {"moment": language.datetime(reading.local(verdict.ask_until))}


def _fact_lines(verdict: LineVerdict, clause: Clause | None, language: Language) -> tuple[FactLine, ...]:
    if clause is None:
        return ()
    pairs = zip(clause.all_conditions(), verdict.conditions, strict=True)
    return tuple(FactLine(condition.label(language), condition.value(result, language)) for condition, result in pairs)
