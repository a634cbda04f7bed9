"""Stored blocks and small helpers for tests of the policy page."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from cms_pages.models import RefundPolicyPage
from refund_plugin import clock
from refund_plugin.policies.queries import load_version, version_in_force
from refund_plugin.rules import PolicyDocument
from refund_plugin.stores.models import Store

EMPTY_SELECTOR: dict[str, Any] = {
    "product_types": "",
    "skus": "",
    "categories": "",
    "tags": "",
    "channels": "",
    "countries": "",
    "nature": "",
    "price_from_minor": None,
    "price_to_minor": None,
}


def guarantee(days: int = 30, **values: Any) -> dict[str, Any]:
    """A stored money-back block."""
    return {
        "type": "money_back",
        "value": {
            "title": "",
            "selector": EMPTY_SELECTOR,
            "anchor": "",
            "window_days": days,
            "percent": 100,
            "outcome": "approve",
            **values,
        },
    }


def refused(reason: str = "It was sold at a final discount.", **values: Any) -> dict[str, Any]:
    """A stored block for what is tagged final-sale."""
    selector = {**EMPTY_SELECTOR, "tags": "final-sale"}
    return {"type": "non_refundable", "value": {"title": "Final sale", "selector": selector, "anchor": "", "reason": reason, **values}}


FOREIGN = {
    "type": "loyalty",
    "value": {"zebra": 1, "title": "Loyal customers", "anchor": "loyal", "über": [1.5, None, {"b": 1, "a": 2}]},
    "id": "5c5ff9a0-2c32-4f4e-9f2b-0d1f6d3f8a11",
}


def stored_clauses(page: RefundPolicyPage) -> list[dict[str, object]]:
    """What the database holds, as it holds it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT clauses FROM {RefundPolicyPage._meta.db_table} WHERE page_ptr_id = %s", [page.pk])
        text = cursor.fetchone()[0]
    return json.loads(text) if isinstance(text, str) else text


def publish(page: RefundPolicyPage, *clauses: object, **fields: object) -> RefundPolicyPage:
    """Write clauses and publish them as an editor does; return the page as it is stored now."""
    if clauses:
        page.clauses = list(clauses)
    for name, value in fields.items():
        setattr(page, name, value)
    page.save_revision().publish()
    return RefundPolicyPage.objects.get(pk=page.pk)


def document_at(store: Store, moment: datetime | None = None) -> PolicyDocument | None:
    """Return what decides purchases made at `moment`, now when omitted."""
    version = version_in_force(store_id=store.pk, at=moment or clock.now())
    return load_version(version) if version else None


def later(**parts: float) -> datetime:
    """Return a moment that is so much later than now."""
    return timezone.now() + timedelta(**parts)
