"""Who acts: passed to every service, so that authority and the audit trail never depend on a web request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ActorKind(StrEnum):
    """The kinds of actors the timeline and the audit distinguish."""

    CUSTOMER = "customer"
    STAFF = "staff"
    ENGINE = "engine"
    SERVICE = "service"
    SYSTEM = "system"
    GATEWAY = "gateway"


class Action(StrEnum):
    """Named actions; staff actions are registered as permissions the Wagtail way (`staff/permissions.py`)."""

    VIEW_CASES = "view_cases"
    APPROVE = "approve_refunds"
    DECLINE = "decline_refunds"
    ASK_EVIDENCE = "ask_evidence"
    PAY_BY_HAND = "pay_by_hand"
    GIVE_INCENTIVE = "give_incentives"
    MANAGE_BRAKE = "manage_brake"
    VIEW_BOOKS = "view_books"
    CORRECT_ACCESS = "correct_access"
    RECORD_ACCESS = "record_access"  # of a service token only: no permission of staff
    RECORD_CONSENT = "record_consent"  # likewise


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone or something that acts on a store's behalf or asks it for something.

    Attributes:
        id: opaque and stable: a user's primary key, a token's prefix, a customer's id; never an e-mail address.
        store_id: the store the actor belongs to; None means every store (a superuser, the engine).
        actions: what the actor may do, besides what everybody may do with their own purchases.
        limit_minor: by currency, the highest amount (minor units) the actor may approve; a missing currency is unlimited.
        label: a name for people, shown in the staff timeline.
        email: a member of staff's address, as customers' are stored; only compared, never recorded or shown.
    """

    kind: ActorKind
    id: str = ""
    store_id: int | None = None
    actions: frozenset[Action] = frozenset()
    limit_minor: Mapping[str, int] = field(default_factory=dict)
    label: str = ""
    email: str = field(default="", repr=False)

    def may(self, action: Action) -> bool:
        """Tell whether the actor holds `action`."""
        return action in self.actions


ENGINE = Actor(kind=ActorKind.ENGINE, label="policy")
SYSTEM = Actor(kind=ActorKind.SYSTEM, label="system")


def customer_actor(*, customer_id: int, store_id: int) -> Actor:
    """Return the actor for a customer who proved to be the owner of a purchase or request."""
    return Actor(kind=ActorKind.CUSTOMER, id=str(customer_id), store_id=store_id)


def saleor_id(user_id: str) -> str:
    """Return the id, as an actor, of a person of a Saleor's staff, by their global id there; within the store of that Saleor."""
    return f"saleor:{user_id}"[:64]
