"""What several rooms of the API share: ids, money, pages of a list, and the verdict on a line."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import NewType

import strawberry
import strawberry_django
from django.utils.translation import gettext as _
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from refund_plugin import rules
from refund_plugin.content import policy_pages
from refund_plugin.errors import InvalidInput
from refund_plugin.money import Money
from refund_plugin.policies.models import PolicyVersion

MinorAmount = NewType("MinorAmount", int)


def _read_minor_amount(value: object) -> MinorAmount:
    if isinstance(value, int) and not isinstance(value, bool):
        return MinorAmount(value)
    raise GraphQLError(f"MinorAmount needs a whole number of minor units (1820 for 18.20 EUR), not {value!r}.")


# GraphQL's Int ends at 2^31, which is 21 million EUR and only some 80,000 USD in VND
SCALAR_MAP: Mapping[object, ScalarDefinition] = {
    MinorAmount: strawberry.scalar(
        name="MinorAmount",
        description="A whole number of a currency's minor units (cents of EUR, whole JPY); not limited to 32 bits.",
        serialize=int,
        parse_value=_read_minor_amount,
    )
}

strawberry.enum(rules.Outcome, name="RefundVerdictOutcome", description="What the policy answers about a line.")
strawberry.enum(rules.Reason, name="RefundVerdictReason", description="Why the policy answers so.")


@strawberry.type(name="Money", description="An amount of money.")
class MoneyType:
    """Saleor's form, and the exact minor units beside it."""

    currency: str = strawberry.field(description="ISO 4217 code.")
    amount: float = strawberry.field(description="In major units, for display; use `minorAmount` to calculate.")
    minor_amount: MinorAmount = strawberry.field(description="Exact.")

    @classmethod
    def of(cls, money: Money) -> MoneyType:
        """Return an amount as the API shows it."""
        return cls(currency=money.currency, amount=float(money.decimal), minor_amount=MinorAmount(money.minor))


@strawberry.type(description="Where a page of a list begins and ends.")
class PageInfo:
    """As in Relay and Saleor."""

    has_next_page: bool = strawberry.field(description="There are more items after this page.")
    has_previous_page: bool = strawberry.field(description="There are items before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item.")
    end_cursor: str | None = strawberry.field(description="Give it as `after` to get the next page.")


@strawberry.type(name="RefundVerdictFact", description="A fact that was used, for a person: “Downloads”, “0 (0 allowed)”.")
class VerdictFact:
    """One row of the explanation."""

    label: str
    value: str


@strawberry.type(name="RefundClauseLink", description="The clause of the policy that decides.")
class ClauseLink:
    """A clause that is cited."""

    version: strawberry.Private[PolicyVersion]
    anchor: str = strawberry.field(description="Stable name of the clause within the policy.")
    title: str

    @strawberry_django.field(description="Where the clause can be read; empty when no page shows it.")
    def url(self) -> str:
        """Ask whoever publishes policies."""
        return policy_pages().policy_url(self.version, self.anchor)


strawberry.enum(rules.Held, name="RefundClauseHeld", description="What became of one clause.")


@strawberry.type(name="RefundConsideredCondition", description="What one condition of a clause found and needed, for a person.")
class ConsideredCondition:
    """One condition."""

    label: str = strawberry.field(description="“Downloads”.")
    value: str = strawberry.field(description="“3 (0 allowed)”.")
    state: str = strawberry.field(description="`met`, `missed` or `unknown`.")
    missed_by: str = strawberry.field(description="“3 downloads too many”; empty where it is no number.")
    needed: str = strawberry.field(description="What would have met it; empty when it is met.")


@strawberry.type(name="RefundConsideredClause", description="One clause that was tried for a line.")
class ConsideredClause:
    """A clause on the way to the verdict."""

    anchor: str = strawberry.field(description="Stable name of the clause within the policy.")
    title: str
    held: rules.Held
    explanation: str = strawberry.field(description="What became of it, by how much it was missed, and what would have qualified.")
    conditions: list[ConsideredCondition]


@strawberry.type(name="RefundVerdict", description="What the policy says about a line, and why.")
class Verdict:
    """A verdict with its explanation."""

    outcome: rules.Outcome
    reason: rules.Reason
    amount: MoneyType = strawberry.field(description="What comes back; zero when it declines. With REVIEW a person confirms it.")
    headline: str
    explanation: str = strawberry.field(description="The reason in plain words.")
    hint: str = strawberry.field(description="What waiting would cost; empty when nothing.")
    label: str = strawberry.field(description="A few words, such as “Refundable until 2 April”.")
    facts: list[VerdictFact]
    ask_until: datetime | None = strawberry.field(
        description="The last moment in which asking gets this answer; null when it does not end."
    )
    clause: ClauseLink | None = strawberry.field(description="Null when no clause is cited.")
    ends: str = strawberry.field(description="When the right to ask ends, as a sentence; empty when it does not end.")
    told: strawberry.Private[rules.LineExplanation]

    @strawberry.field(description="Every clause that was tried, in order, up to the one that decides.")
    def considered(self) -> list[ConsideredClause]:
        """As on the customer's page."""
        return [
            ConsideredClause(
                anchor=clause.anchor,
                title=clause.title,
                held=clause.held,
                explanation=clause.text,
                conditions=[ConsideredCondition(**condition._asdict()) for condition in clause.conditions],
            )
            for clause in self.told.considered
        ]


def verdict_of(verdict: rules.LineVerdict, told: rules.LineExplanation, version: PolicyVersion | None) -> Verdict:
    """Return a verdict with what is told of it, in the language that it was told in."""
    declined = verdict.outcome is rules.Outcome.DECLINE
    cited = told.clause_anchor and verdict.by_law is None  # what the law gives is no clause of the policy
    return Verdict(
        outcome=verdict.outcome,
        reason=verdict.reason,
        amount=MoneyType.of(Money(0 if declined else verdict.amount_minor, verdict.currency)),
        headline=told.headline,
        explanation=told.sentence,
        hint=told.hint,
        ends=told.ends,
        label=told.tag_text,
        facts=[VerdictFact(label=label, value=value) for label, value in told.facts],
        ask_until=verdict.ask_until,
        clause=ClauseLink(version=version, anchor=told.clause_anchor, title=told.clause_title) if version and cited else None,
        told=told,
    )


def global_id(kind: str, key: object) -> strawberry.ID:
    """Return the opaque id of a thing: Relay's `base64("Kind:key")`."""
    return strawberry.ID(base64.b64encode(f"{kind}:{key}".encode()).decode())


def read_id(kind: str, value: str, *, field: str) -> str:
    """Return the key in an opaque id.

    Raises:
        InvalidInput: not an id of this kind.
    """
    try:
        found, _colon, key = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        found, key = "", ""
    if found != kind or not key or "\x00" in key:
        raise InvalidInput(_("This is not the id of a %(kind)s.") % {"kind": kind}, field=field)
    return key
