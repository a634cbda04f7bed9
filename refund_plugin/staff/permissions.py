"""Named actions as permissions, the Wagtail way: given to groups, checked by a permission policy in every view."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.db.models import QuerySet
from wagtail.permission_policies import ModelPermissionPolicy
from wagtail.permissions import register_permission_policy

from refund_plugin.actor import Action
from refund_plugin.refunds.models import RefundRequest

ACTIONS: tuple[Action, ...] = (
    Action.VIEW_CASES,
    Action.APPROVE,
    Action.DECLINE,
    Action.ASK_EVIDENCE,
    Action.PAY_BY_HAND,
    Action.GIVE_INCENTIVE,
    Action.MANAGE_BRAKE,
    Action.VIEW_BOOKS,
    Action.CORRECT_ACCESS,
)
_CODENAMES = frozenset(action.value for action in ACTIONS)


class CasePermissionPolicy(ModelPermissionPolicy):
    """Knows the named actions, whose codenames do not follow Django's `add_model` pattern."""

    def _get_permission_codename(self, action: str) -> str:
        return str(action) if action in _CODENAMES else str(super()._get_permission_codename(action))


policy = CasePermissionPolicy(RefundRequest)


def register_policy() -> None:
    """Tell Wagtail which policy answers for requests."""
    register_permission_policy(RefundRequest, policy)


def staff_permissions() -> QuerySet[Permission]:
    """Return the permissions shown in Wagtail's group form."""
    return Permission.objects.filter(content_type__app_label="refund_plugin", codename__in=_CODENAMES)
