"""Publish, read, and unpublish a policy on this site; run as a process of its own, because a page model is swapped for good."""

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from wagtail.models import Locale, Site  # noqa: E402
from wagtail.test.basepage.models import BasePage  # noqa: E402

from cms_pages.policy_pages import page_for_key, policy_page_models  # noqa: E402
from refund_plugin import clock  # noqa: E402
from refund_plugin.policies.queries import load_version, version_in_force  # noqa: E402
from refund_plugin.stores.services import ensure_default_store  # noqa: E402
from tests.cms_pages.swapped_host.models import PolicyPage  # noqa: E402

CLAUSE = {"type": "money_back", "value": {"window_days": 30, "anchor": "guarantee", "selector": {}}}

call_command("check")
call_command("migrate", verbosity=0)
call_command("makemigrations", "cms_pages", check=True, dry_run=True, verbosity=0)
Locale.objects.get_or_create(language_code="en")
root = BasePage.objects.filter(depth=1).first() or BasePage.add_root(title="Root", slug="root")

assert policy_page_models() == [PolicyPage]
page = PolicyPage(title="Refunds", slug="refund-policy", clauses=[CLAUSE])
root.add_child(instance=page)
page.save_revision().publish()
store = ensure_default_store()
version = version_in_force(store_id=store.pk, at=clock.now())
assert version is not None
assert load_version(version).clauses[0].window_days == 30
assert page_for_key(version.policy.key) == page

Site.objects.all().delete()
Site.objects.create(hostname="testserver", root_page=root, is_default_site=True)
shown = Client().get("/refund-policy/")
assert "Ask within 30 days" in shown.content.decode(), shown

BasePage.objects.get(pk=page.pk).unpublish()
assert version_in_force(store_id=store.pk, at=clock.now()) is None
print("the swapped host works")
