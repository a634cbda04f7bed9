"""What `migrate` prepares for staff."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet

from refund_plugin.staff.permissions import ACTIONS

GROUP_NAME = "Refund staff"


def known_actions(*, using: str = DEFAULT_DB_ALIAS) -> frozenset[str]:
    """Return the codenames of the staff actions that the database knows; none before the first `migrate`."""
    if Permission._meta.db_table not in connections[using].introspection.table_names():
        return frozenset()
    return frozenset(_permissions(using).values_list("codename", flat=True))


def ensure_staff_group(*, known: frozenset[str] = frozenset(), using: str = DEFAULT_DB_ALIAS) -> Group | None:
    """Make the group "Refund staff" with access to the admin and every staff action; return it when it was made.

    Once any group holds one of the permissions it is only given the actions that this `migrate` brought, so that merchants
    may rename, split or reduce the group: what was taken from it stays taken.

    Args:
        known: what `known_actions` returned before `migrate`; empty when the actions are none of its concern.
    """
    create_permissions(apps.get_app_config("refund_plugin"), verbosity=0, using=using)
    ours = _permissions(using)
    group = Group.objects.using(using).filter(name=GROUP_NAME).first()
    if group is not None or Group.objects.using(using).filter(permissions__in=ours).exists():
        if group is not None and known:
            group.permissions.add(*ours.exclude(codename__in=known))
        return None
    access = Permission.objects.using(using).filter(content_type__app_label="wagtailadmin", codename="access_admin")
    group = Group.objects.using(using).create(name=GROUP_NAME)
    group.permissions.add(*ours, *access)
    return group


def _permissions(using: str) -> QuerySet[Permission]:
    return Permission.objects.using(using).filter(
        content_type__app_label="refund_plugin", codename__in=[action.value for action in ACTIONS]
    )
