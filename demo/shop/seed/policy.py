"""The refund policy as the shop's editor would write it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import User

from cms_pages.models import RefundPolicyPage
from demo.shop.models import HomePage

CLAUSES = [
    {
        "type": "non_refundable",
        "id": "b0d2f3b4-6f0c-4b58-9a7e-1f4f6c1d7a01",
        "value": {
            "title": "Final sale",
            "anchor": "final-sale",
            "reason": "Bundles in the final sale cost a third of their price because we do not take them back.",
            "selector": {"tags": "final-sale"},
        },
    },
    {
        "type": "unused_only",
        "id": "b0d2f3b4-6f0c-4b58-9a7e-1f4f6c1d7a02",
        "value": {"title": "Licences", "anchor": "licences", "window_days": 30, "selector": {"product_types": "plugin"}},
    },
    {
        "type": "pro_rated",
        "id": "b0d2f3b4-6f0c-4b58-9a7e-1f4f6c1d7a03",
        "value": {"title": "Courses", "anchor": "courses", "by": "unit", "window_days": 60, "selector": {"product_types": "course"}},
    },
    {
        "type": "pro_rated",
        "id": "b0d2f3b4-6f0c-4b58-9a7e-1f4f6c1d7a04",
        "value": {"title": "Subscriptions", "anchor": "subscriptions", "by": "day", "selector": {"product_types": "subscription"}},
    },
    {
        "type": "unused_only",
        "id": "b0d2f3b4-6f0c-4b58-9a7e-1f4f6c1d7a05",
        "value": {"title": "30-day guarantee", "anchor": "guarantee", "window_days": 30, "selector": {}},
    },
]

LIMITS = [
    {"type": "limit", "value": {"currency": "EUR", "amount": "100.00"}},
    {"type": "limit", "value": {"currency": "JPY", "amount": "20000"}},
]

# older than the oldest seeded purchase, so that each of them is judged by this policy
FOUNDED_DAYS_AGO = 730


def seed_policy(*, home: HomePage, editor: User, now: datetime) -> RefundPolicyPage:
    """Return the shop's policy page, written and published if there is none."""
    page = RefundPolicyPage.objects.first()
    if page is not None:
        return page
    page = home.add_child(
        instance=RefundPolicyPage(
            title="Refund policy",
            slug="refund-policy",
            intro="If something you bought here is not for you, you can have your money back. This is how, in plain words.",
            clauses=CLAUSES,
            limits=LIMITS,
            founding_from=now - timedelta(days=FOUNDED_DAYS_AGO),
            founding_reason="The same rules stood on our old page about refunds.",
            show_in_menus=True,
            owner=editor,
        )
    )
    page.save_revision(user=editor)
    return page
