"""What follows the money inside this room: access to what was bought, the store's own books, credit notes, the comparison of the
books, the law's days; and what other policies would have decided."""

from __future__ import annotations

from refund_plugin import duties
from refund_plugin.events.services import subscribe
from refund_plugin.refunds import history, law, selftest
from refund_plugin.refunds.access import services as access
from refund_plugin.refunds.access import use
from refund_plugin.refunds.incentives import services as incentives
from refund_plugin.refunds.ledger import credit_notes, verify
from refund_plugin.refunds.reconcile import services as reconcile
from refund_plugin.refunds.replay import services as replay
from refund_plugin.refunds.replay import shadow
from refund_plugin.refunds.subscriptions import invoice_notes, renewals
from refund_plugin.refunds.subscriptions import services as subscriptions
from refund_plugin.refunds.telling import services as telling


def register() -> None:
    """Register duties and subscribers; called from `AppConfig.ready()`."""
    duties.register_duty("verify_ledger", verify.run_duty, every_seconds=verify.EVERY_SECONDS)
    duties.register_duty("reimburse_by", law.warn_of_due, every_seconds=law.EVERY_SECONDS)
    duties.register_duty("reconcile", reconcile.reconcile_due)
    duties.register_duty("payment_history", history.read_histories)
    duties.register_duty("selftest", selftest.selftest_due)
    duties.register_duty("access", access.tell_stores)
    duties.register_duty("follow_use", use.follow_use, every_seconds=use.EVERY_SECONDS)
    duties.register_duty("store_books", telling.tell_stores)
    duties.register_duty("incentives", incentives.issue_due)
    duties.register_duty("end_subscriptions", subscriptions.drive_ends)
    duties.register_duty("refund_renewals", renewals.refund_renewals, every_seconds=renewals.EVERY_SECONDS)
    duties.register_duty("invoice_notes", invoice_notes.record_notes)
    duties.register_duty("replay", replay.replay_due)
    subscribe(shadow.NAME, shadow.KINDS, shadow.on_event)
    subscribe(invoice_notes.NAME, invoice_notes.KINDS, invoice_notes.on_event)
    subscribe(access.NAME, access.KINDS, access.on_event)
    subscribe(telling.NAME, telling.KINDS, telling.on_event)
    duties.register_duty("credit_notes", credit_notes.catch_up, every_seconds=credit_notes.EVERY_SECONDS)
    subscribe(credit_notes.NAME, credit_notes.KINDS, credit_notes.on_event)
