"""An editor looks at a draft before publishing it: with remarks, as a customer, and as it would judge a past purchase."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.stores.models import Store
from tests.cms_pages.examples import guarantee, later
from tests.cms_pages.test_editing import form
from tests.factories import EBOOK, MEMORY, make_purchase

pytestmark = pytest.mark.django_db


def preview(client, page, data, *, mode, **query):
    url = reverse("wagtailadmin_pages:preview_on_edit", args=[page.pk])
    assert client.post(url, data).json()["is_valid"]
    answer = client.get(url, {"mode": mode, "in_preview_panel": "true", **query})
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


@pytest.fixture
def bought(settings):
    """A purchase of ten days ago, and the number of its order."""
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | MEMORY
    return make_purchase(lines=[EBOOK], number="BK-77", purchased_at=later(days=-10))


@pytest.fixture
def dated_back(make_page):
    """A page whose first version also holds for what was bought before it."""
    return make_page(guarantee(14), founding_from=clock.now() - timedelta(days=60), founding_reason="We always did so.")


def test_the_preview_has_three_modes(client, editor, make_page):
    page = make_page(guarantee(14))
    shown = client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()
    for label in ("With the checks", "As a customer", "For a past purchase"):
        assert label in shown


def test_as_a_customer_the_draft_is_read_without_remarks(client, editor, make_page):
    page = make_page(guarantee(14))
    data = form(page, guarantee(7))
    assert "Worth a look" in preview(client, page, data, mode="")
    shown = preview(client, page, data, mode="customer")
    assert "Ask within 7 days" in shown
    assert "Worth a look" not in shown
    assert "Draft." not in shown


def test_a_past_purchase_is_judged_by_the_draft_beside_the_version_of_its_day(client, editor, dated_back, bought):
    shown = preview(client, dated_back, form(dated_back, guarantee(7)), mode="purchase", order=" bk-77 ")
    assert "By this draft" in shown
    assert "lasts 7 days after buying" in shown
    assert "By version 1, in force when it was bought" in shown
    assert "€18.20" in shown
    assert "The answers differ. This purchase keeps the answer of its day." in shown


def test_the_number_stays_while_the_draft_changes(client, editor, dated_back, bought):
    preview(client, dated_back, form(dated_back, guarantee(7)), mode="purchase", order="BK-77")
    assert "The answers are the same." in preview(client, dated_back, form(dated_back, guarantee(30)), mode="purchase")


def test_judging_a_past_purchase_writes_nothing_about_it(client, editor, dated_back, bought):
    preview(client, dated_back, form(dated_back, guarantee(7)), mode="purchase")
    url = reverse("wagtailadmin_pages:preview_on_edit", args=[dated_back.pk])
    with CaptureQueriesContext(connection) as queries:
        client.get(url, {"mode": "purchase", "order": "BK-77"})
    writes = [query["sql"] for query in queries if query["sql"].split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert [sql for sql in writes if "django_session" not in sql] == []


def test_an_unknown_number_is_told(client, editor, dated_back, bought):
    assert "This shop has no order “NO-1”" in preview(client, dated_back, form(dated_back, guarantee(7)), mode="purchase", order="NO-1")


@pytest.mark.parametrize("may_read", [False, True])
def test_only_who_may_read_purchases_can_judge_one(client, dated_back, bought, writer, may_read):
    if may_read:
        writer.user_permissions.add(Permission.objects.get(codename="view_cases"))
    shown = preview(client, dated_back, form(dated_back, guarantee(7)), mode="purchase", order="BK-77")
    assert (EBOOK.name in shown) is may_read
    assert ("18.20" in shown) is may_read
    assert ("Ask an administrator" in shown) is not may_read


def test_a_purchase_of_another_shop_is_not_found(client, editor, dated_back, settings):
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | MEMORY
    other = Store.objects.create(slug="other", name="Other")
    make_purchase(lines=[EBOOK], number="OT-1", store=other, purchased_at=later(days=-10))
    assert "This shop has no order" in preview(client, dated_back, form(dated_back, guarantee(7)), mode="purchase", order="OT-1")
