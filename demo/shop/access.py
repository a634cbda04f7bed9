"""What the refund plugin tells the shop about access: the function that `ACCESS_HANDLER` names."""

from __future__ import annotations

from demo.shop.models import LockedCopies
from refund_plugin.stores.base import LineAccess


def set_access(access: LineAccess) -> None:
    """Lock and unlock the copies of one bought line."""
    LockedCopies.objects.update_or_create(line_id=access.line_id, defaults={"frozen": access.frozen, "revoked": access.revoked})
