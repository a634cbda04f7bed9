"""Reads of replays and silent drafts: their sums, their changed lines, and both answers about a line in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, Case, Count, F, Q, QuerySet, Sum, When

from refund_plugin.money import Money
from refund_plugin.refunds.replay.judging import Judged, explain_again, was_judged
from refund_plugin.refunds.replay.models import Answer, ReplayChange, ReplayKind, ReplayRun, Shadow, ShadowVerdict
from refund_plugin.refunds.replay.reading import as_dict, document_behind
from refund_plugin.rules import Language, LineExplanation, floor_of, load_document
from refund_plugin.stores.models import Store

GIVEN = (Answer.APPROVE, Answer.REVIEW, Answer.DECLINE)
TOLD = (*GIVEN, Answer.UNCLEAR)


@dataclass(frozen=True, slots=True)
class MoneySums:
    """Money of one currency: what goes without a person, how much more and less single lines get, and what waits for a person."""

    before: Money
    after: Money
    more: Money
    less: Money
    review_before: Money
    review_after: Money


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers given beside the draft's, about requests or purchases, or of a silent draft.

    Attributes:
        cases: requests or purchases; `changed` of them have a line that is answered otherwise.
        answers: lines by the answer given and the draft's.
        amounts: lines with the same answer and another amount.
        unread: lines of which not even the answer given can be told.
        denied: customers who get a no from the draft where it was none.
    """

    kind: str
    cases: int
    changed: int
    answers: Mapping[tuple[str, str], int]
    amounts: int
    unread: int
    denied: int
    money: Sequence[MoneySums]

    @property
    def lines(self) -> int:
        """Lines that both answered."""
        return sum(count for (_before, after), count in self.answers.items() if after != Answer.UNCLEAR)

    @property
    def unclear(self) -> int:
        """Lines of which nobody can tell what the draft would answer."""
        return self.unread + sum(count for (_before, after), count in self.answers.items() if after == Answer.UNCLEAR)

    @property
    def changed_lines(self) -> int:
        """Lines that the draft answers otherwise."""
        told = ((pair, count) for pair, count in self.answers.items() if pair[1] != Answer.UNCLEAR)
        return self.amounts + sum(count for (before, after), count in told if before != after)

    def given(self, answer: str) -> int:
        """Count the lines that were given an answer, of those that both answered."""
        return sum(count for (before, after), count in self.answers.items() if before == answer and after != Answer.UNCLEAR)

    def drafted(self, answer: str) -> int:
        """Count the lines that the draft gives an answer."""
        return sum(count for (_before, after), count in self.answers.items() if after == answer)


def replays_of(*, store: Store, policy_key: str) -> QuerySet[ReplayRun]:
    """Return the replays of a policy's drafts, the newest first."""
    return ReplayRun.objects.filter(store=store, policy_key=policy_key).select_related("store")


def comparisons(run: ReplayRun) -> list[Comparison]:
    """Return what a run has found so far about requests and about purchases; no statement once it is done, else one."""
    denied = {kind: run.counts.get(f"{kind}:denied") for kind in ReplayKind.values}
    if None in denied.values():
        found = run.denied.order_by().values_list("kind").annotate(count=Count("pk"))
        denied = {**dict.fromkeys(ReplayKind.values, 0), **dict(found)}
    return [_comparison(run.counts, kind, denied[kind] or 0) for kind in ReplayKind.values]


def _comparison(counts: Mapping[str, int], kind: str, denied: int) -> Comparison:
    def count(*names: str) -> int:
        return counts.get(":".join((kind, *names)), 0)

    sums = set(MoneySums.__slots__)
    currencies = sorted({parts[1] for key in counts if len(parts := key.split(":")) == 3 and parts[0] == kind and parts[2] in sums})
    return Comparison(
        kind=kind,
        cases=count("cases"),
        changed=count("changed"),
        answers={(before, after): found for before in GIVEN for after in TOLD if (found := count("lines", f"{before}>{after}"))},
        amounts=count("lines", "amount"),
        unread=count("lines", "unread"),
        denied=denied,
        money=[MoneySums(**{name: Money(count(currency, name), currency) for name in MoneySums.__slots__}) for currency in currencies],
    )


def changes_of(run: ReplayRun) -> QuerySet[ReplayChange]:
    """Return the kept lines that a run's draft answers otherwise, or of which nobody can tell, with what a list shows."""
    return ReplayChange.objects.filter(run=run).select_related("line__purchase", "request")


def both_answers(change: ReplayChange, language: Language) -> tuple[LineExplanation | None, LineExplanation | None]:
    """Say in words what was answered about a line and what the draft answers.

    Returns:
        None for an answer that cannot be told, or that the code installed now would give otherwise.
    """
    draft, policy = load_document(change.run.document), document_behind(change.version)
    before, after = Judged(change.before, change.before_minor), Judged(change.after, change.after_minor)
    return (
        explain_again(policy, change.facts, change.step, before, None, language),
        None if change.after == Answer.UNCLEAR else explain_again(draft, change.facts, change.step, after, None, language),
    )


def shadows_of(*, store: Store, policy_key: str) -> QuerySet[Shadow]:
    """Return the drafts that decided silently beside a policy, the newest first."""
    return Shadow.objects.filter(store=store, policy_key=policy_key).select_related("store")


def verdicts_of(shadow: Shadow) -> QuerySet[ShadowVerdict]:
    """Return what a silent draft said, the newest first, with what a list shows."""
    return ShadowVerdict.objects.filter(shadow=shadow).select_related("line__purchase", "decision__request")


def shadow_comparison(shadow: Shadow) -> Comparison:
    """Sum up what a silent draft said beside what was answered; three statements."""
    said = ShadowVerdict.objects.filter(shadow=shadow).order_by()
    rows = said.values("before", "after").annotate(count=Count("pk"), differ=Count("pk", filter=Q(differs=True)))
    answers = {(row["before"], row["after"]): row["count"] for row in rows}
    same = sum(row["differ"] for row in rows if row["before"] == row["after"])
    cases = said.aggregate(
        cases=Count("decision", distinct=True),
        changed=Count("decision", distinct=True, filter=Q(differs=True)),
        denied=Count("decision__request__customer", distinct=True, filter=Q(after=Answer.DECLINE) & ~Q(before=Answer.DECLINE)),
    )
    return Comparison(
        kind=ReplayKind.REQUESTS.value,
        cases=cases["cases"],
        changed=cases["changed"],
        answers=answers,
        amounts=same,
        unread=0,
        denied=cases["denied"],
        money=_shadow_money(said),
    )


def shadow_answers(verdict: ShadowVerdict, language: Language) -> tuple[LineExplanation | None, LineExplanation | None]:
    """Say in words what was answered about a line of a decision and what the silent draft said; as `both_answers`."""
    decision = verdict.decision
    stored = zip(map(as_dict, decision.facts), map(as_dict, decision.verdicts), strict=True)
    facts, told = next((facts, told) for facts, told in stored if int(facts["line_id"]) == verdict.line_id)
    draft, policy = load_document(verdict.shadow.document), document_behind(decision.policy_version)
    step, law, after = told["step"], floor_of(told), Judged(verdict.after, verdict.after_minor)
    return (
        explain_again(policy, facts, step, was_judged(told), law, language),
        None if verdict.after == Answer.UNCLEAR else explain_again(draft, facts, step, after, law, language),
    )


def _shadow_money(said: QuerySet[ShadowVerdict]) -> list[MoneySums]:
    told = said.exclude(after=Answer.UNCLEAR)
    approved, drafted = Q(before=Answer.APPROVE), Q(after=Answer.APPROVE)
    paid = Case(When(approved, then=F("before_minor")), default=0, output_field=BigIntegerField())
    would = Case(When(drafted, then=F("after_minor")), default=0, output_field=BigIntegerField())

    def total(expression: Any, condition: Q) -> Sum:
        return Sum(expression, filter=condition, default=0, output_field=BigIntegerField())

    rows = told.values("currency").annotate(was=Sum(paid), will=Sum(would)).order_by("currency")
    rows = rows.annotate(
        gains=total(would - paid, Q(differs=True) & drafted & (~approved | Q(after_minor__gt=F("before_minor")))),
        losses=total(paid - would, Q(differs=True) & approved & (~drafted | Q(after_minor__lt=F("before_minor")))),
        waits=total("before_minor", Q(before=Answer.REVIEW)),
        would_wait=total("after_minor", Q(after=Answer.REVIEW)),
    )
    names = ("was", "will", "gains", "losses", "waits", "would_wait")  # in the order of the sums
    return [MoneySums(*(Money(minor, currency) for minor in sums)) for currency, *sums in rows.values_list("currency", *names)]
