"""What the shop's customers agreed to: every seeded order but the one that shows what is so without it."""

from __future__ import annotations

from datetime import datetime, timedelta

from refund_plugin.orders.models import Nature, Purchase
from refund_plugin.policies.consent import confirm_consent, record_consent
from refund_plugin.policies.consent_wording import current_wording


def seed_consent(purchase: Purchase, *, now: datetime) -> None:
    """Record that the buyer asked for access at once, and got that confirmed by the shop's own mail a minute later."""
    for line in purchase.lines.all():
        wording = current_wording(Nature(line.nature), "en")
        consent = record_consent(
            store=purchase.store,
            line=line,
            wording=wording.text,
            locale=wording.locale,
            agreed_to_begin=True,
            acknowledged=True,
            given_at=purchase.purchased_at,
            source="seed",
            source_id=f"line-{line.pk}",
            confirm_by_mail=False,
            now=now,
        )
        confirm_consent(consent=consent, confirmed_at=purchase.purchased_at + timedelta(minutes=1), channel="shop", now=now)
