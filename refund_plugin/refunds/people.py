"""Who the services see when a member of staff acts, whatever the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import Exists, OuterRef

from refund_plugin.actor import Action, Actor, ActorKind
from refund_plugin.conf import settings
from refund_plugin.orders.queries import clean_email
from refund_plugin.stores.models import Store


def may(user: Any, action: Action) -> bool:
    """Tell whether a user holds an action: as a superuser, by a group or directly."""
    return bool(user.has_perm(f"refund_plugin.{action.value}"))


def staff_actor(user: Any, store: Store) -> Actor:
    """Return the actor for a signed-in member of staff working on `store`'s cases."""
    return Actor(
        kind=ActorKind.STAFF,
        id=str(user.pk),
        store_id=store.pk,
        actions=frozenset(action for action in Action if may(user, action)),
        limit_minor=approval_limits(user),
        label=user.get_full_name() or user.get_username(),
        email=clean_email(getattr(user, user.get_email_field_name(), None) or ""),
    )


def approval_limits(user: Any) -> Mapping[str, int]:
    """Return the most a user may approve at once, in minor units by currency; a missing currency has no limit.

    Source of the rule: `REFUND_PLUGIN["STAFF_LIMITS"]`. A superuser, and a member of a group that may approve and is
    not named there, has no limit; else the highest of the named groups counts.
    """
    limits = settings().staff_limits
    if not limits or user.is_superuser:
        return {}
    approves = Permission.objects.filter(codename=Action.APPROVE, content_type__app_label="refund_plugin", group=OuterRef("pk"))
    mine: list[Mapping[str, int]] = []
    for name, group_approves in user.groups.annotate(approves=Exists(approves)).values_list("name", "approves"):
        if name in limits:
            mine.append(limits[name])
        elif group_approves:
            return {}
    shared = set.intersection(*(set(group) for group in mine)) if mine else set()
    return {currency: max(group[currency] for group in mine) for currency in shared}
