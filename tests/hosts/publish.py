"""Runs inside a site with a page model of its own: publishes a policy page there, changes it, and prints what decides now."""

import json

import django

django.setup()

from django.test import Client  # noqa: E402
from mysite.models import BasePage, RefundPolicyPage  # noqa: E402
from wagtail.models import Site  # noqa: E402

from refund_plugin import clock  # noqa: E402
from refund_plugin.policies.models import PolicyVersion  # noqa: E402
from refund_plugin.policies.queries import load_version, version_in_force  # noqa: E402
from refund_plugin.stores.services import ensure_default_store  # noqa: E402


def clauses(days: int) -> list[dict]:
    """Return the block of one guarantee."""
    return [{"type": "money_back", "value": {"anchor": "guarantee", "window_days": days}}]


root = BasePage.objects.filter(depth=1).first() or BasePage.add_root(title="Root")
home = root.add_child(instance=BasePage(title="Home", slug="host-home"))
Site.objects.update_or_create(is_default_site=True, defaults={"hostname": "testserver", "root_page": home})
page = home.add_child(instance=RefundPolicyPage(title="Refunds", slug="refunds-policy", clauses=json.dumps(clauses(14))))
page.clauses = json.dumps(clauses(30))
page.save_revision().publish()

version = version_in_force(store_id=ensure_default_store().pk, at=clock.now())
answer = Client().get("/refunds-policy/")
print(
    json.dumps(
        {
            "versions": PolicyVersion.objects.count(),
            "days": [clause.window_days for clause in load_version(version).clauses],
            "status": answer.status_code,
            "shown": "30 days" in answer.content.decode(),
        }
    )
)
