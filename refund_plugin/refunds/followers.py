"""What follows the money inside this room: the comparison of the books, and what the law wants."""

from __future__ import annotations

from refund_plugin import duties
from refund_plugin.refunds import law
from refund_plugin.refunds.ledger import verify


def register() -> None:
    """Register duties and subscribers; called from `AppConfig.ready()`."""
    duties.register_duty("verify_ledger", verify.run_duty, every_seconds=verify.EVERY_SECONDS)
    duties.register_duty("reimburse_by", law.warn_of_due, every_seconds=law.EVERY_SECONDS)
