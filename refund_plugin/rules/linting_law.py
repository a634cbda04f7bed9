"""Where a policy says less than the law gives consumers: told in words, because the law counts beside the policy anyway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from refund_plugin.rules.clauses import ApprovingClause, Clause, NonRefundable
from refund_plugin.rules.documents import PolicyDocument
from refund_plugin.rules.findings import Finding, warning
from refund_plugin.rules.language import gettext_noop
from refund_plugin.rules.presets import EU_COUNTRIES
from refund_plugin.rules.selectors import NONE
from refund_plugin.rules.special_clauses import WITHDRAWAL_DAYS, StatutoryWithdrawal


def about_law(document: PolicyDocument) -> Iterator[Finding]:
    """Tell which clauses give EU consumers less than the right to withdraw does, if no clause above states that right.

    Source: Directive 2011/83/EU art. 9 and 16(a), (m).
    """
    rights: list[StatutoryWithdrawal] = []
    short = []
    for number, clause in enumerate(document.clauses, 1):
        if isinstance(clause, StatutoryWithdrawal):
            rights.append(clause)
        elif _gives_less(clause) and not any(_states_it_for(right, clause) for right in rights):
            short.append(str(number))
    if short:
        text = gettext_noop(
            "In the EU, consumers may withdraw within %(days)d days (Directive 2011/83/EU, article 9) unless they agreed that it begins at "
            "once, acknowledged what this ends, got that confirmed, and have begun to use it. Clause %(numbers)s gives them less. The law "
            "counts beside it. Say so: put “Right to withdraw by law” above."
        )
        yield warning("statutory_conflict", text, days=WITHDRAWAL_DAYS, numbers=", ".join(short))


def _gives_less(clause: Clause) -> bool:
    if clause.selector.countries and clause.selector.countries.isdisjoint(EU_COUNTRIES):
        return False
    if any(condition.circumstance for condition in clause.all_conditions()):
        return False  # about a case of its own, beside what is given for a change of mind
    if isinstance(clause, NonRefundable):
        return True
    days = getattr(clause, "window_days", None)
    return isinstance(clause, ApprovingClause) and days is not None and days < WITHDRAWAL_DAYS


def _states_it_for(right: StatutoryWithdrawal, clause: Clause) -> bool:
    """Tell whether a right stated above is for all EU consumers that the clause is about; where they live apart."""
    stated, about = right.selector, clause.selector
    countries = (about.countries or EU_COUNTRIES) & EU_COUNTRIES
    return (not stated.countries or countries <= stated.countries) and replace(stated, countries=NONE).covers(
        replace(about, countries=NONE)
    )
