"""What `migrate` prepares for staff."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS

from refund_plugin.staff.permissions import ACTIONS

GROUP_NAME = "Refund staff"


def ensure_staff_group(*, using: str = DEFAULT_DB_ALIAS, **kwargs: object) -> Group | None:
    """Make the group "Refund staff" with access to the admin and every staff action; return it when it was made.

    Nothing happens once any group holds one of the permissions, so that merchants may rename or split the group.
    """
    create_permissions(apps.get_app_config("refund_plugin"), verbosity=0, using=using)
    ours = Permission.objects.using(using).filter(
        content_type__app_label="refund_plugin", codename__in=[action.value for action in ACTIONS]
    )
    if Group.objects.using(using).filter(permissions__in=ours).exists() or Group.objects.using(using).filter(name=GROUP_NAME).exists():
        return None
    access = Permission.objects.using(using).filter(content_type__app_label="wagtailadmin", codename="access_admin")
    group = Group.objects.using(using).create(name=GROUP_NAME)
    group.permissions.add(*ours, *access)
    return group
