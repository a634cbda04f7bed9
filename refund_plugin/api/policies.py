"""The policy in force, in plain words."""

from __future__ import annotations

from datetime import datetime

import strawberry
import strawberry_django

from refund_plugin import clock
from refund_plugin.api.context import caller_of
from refund_plugin.api.errors import as_graphql
from refund_plugin.api.orders import Channel
from refund_plugin.content import policy_pages
from refund_plugin.errors import RefundPluginError
from refund_plugin.localize import formatter_for
from refund_plugin.policies.queries import load_version, version_in_force
from refund_plugin.rules import describe_clause
from refund_plugin.stores.models import Store


@strawberry.type(description="A clause of the policy, in words made from its values.")
class RefundPolicyClause:
    """What a customer reads of a clause."""

    anchor: str = strawberry.field(description="Stable name of the clause within the policy.")
    kind: str = strawberry.field(description="For example `money_back` or `non_refundable`; shops can add kinds.")
    title: str
    summary: str = strawberry.field(description="Plain sentences.")
    bullet: str = strawberry.field(description="One line, for a footer or the checkout.")


@strawberry.type(description="The refund policy that decides what is bought now.")
class RefundPolicy:
    """A version in force."""

    store_id: strawberry.Private[int]
    title: str
    version: int
    effective_from: datetime
    clauses: list[RefundPolicyClause] = strawberry.field(description="In order: the first that applies decides.")

    @strawberry_django.field(description="Where the policy can be read; empty when no page shows it.")
    def url(self) -> str:
        """Ask whoever publishes policies."""
        return policy_pages().current_policy_url(self.store_id)


def current_policy(info: strawberry.Info, channel: str | None) -> RefundPolicy | None:
    """Return the policy of a store that is in force now; None when there is none."""
    now = clock.now()
    store = Store.objects.filter(slug=caller_of(info).store_slug(channel)).first()
    version = version_in_force(store_id=store.pk, at=now) if store else None
    if store is None or version is None:
        return None
    language = formatter_for(timezone=store.timezone)
    clauses = [(clause, describe_clause(clause, language)) for clause in load_version(version).clauses]
    return RefundPolicy(
        store_id=store.pk,
        title=version.policy.title,
        version=version.number,
        effective_from=version.effective_from,
        clauses=[
            RefundPolicyClause(anchor=clause.anchor, kind=clause.kind, title=text.title, summary=text.summary, bullet=text.bullet)
            for clause, text in clauses
        ],
    )


@strawberry.type
class PolicyQueries:
    """Queries about the policy."""

    @strawberry_django.field(description="The store's refund policy in force; null when none is published.")
    def refund_policy(self, info: strawberry.Info, channel: Channel = None) -> RefundPolicy | None:
        """Describe what is in force now."""
        try:
            return current_policy(info, channel)
        except RefundPluginError as error:
            raise as_graphql(error) from error
