"""What an editor meets in the Wagtail admin: the form, its errors, the preview and the messages."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import reverse
from wagtail.models import GroupPagePermission, Locale
from wagtail.test.utils.form_data import inline_formset, nested_form_data, streamfield

from cms_pages.models import RefundPolicyPage
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.queries import policy_for_key
from tests.cms_pages.examples import EMPTY_SELECTOR, FOREIGN, guarantee, later, publish, refused, stored_clauses

pytestmark = pytest.mark.django_db


def form(page: RefundPolicyPage | None = None, *clauses: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What the browser posts for a policy page with these clauses."""

    def text(value: Any) -> Any:
        return {name: text(part) for name, part in value.items()} if isinstance(value, dict) else "" if value is None else value

    return nested_form_data(
        {
            "title": page.title if page else "Refunds",
            "slug": page.slug if page else "refund-policy",
            "intro": "",
            "seo_title": "",
            "search_description": "",
            "effective_from": "",
            "founding_from": "",
            "founding_reason": "",
            "go_live_at": "",
            "expire_at": "",
            "clauses": streamfield([(clause["type"], text(clause["value"])) for clause in clauses]),
            "limits": streamfield([]),
            "wagtail_admin_comments": inline_formset([]),
            **fields,
        }
    )


def post(client: Any, page: RefundPolicyPage, data: dict[str, Any], *, action: str = "action-publish") -> Any:
    """Press a button of the page's form."""
    return client.post(reverse("wagtailadmin_pages:edit", args=[page.pk]), {**data, action: "1"}, follow=True)


def told(response: Any) -> str:
    """All messages of the page that followed."""
    return " ".join(str(message) for message in response.context["messages"])


def clauses_errors(response: Any) -> str:
    """All that the form says about the clauses, as the editor's script gets it."""
    errors = response.context["form"].errors.get("clauses")
    return json.dumps(errors.as_data()[0].as_json_data()) if errors else ""


def test_a_new_page_can_be_written_and_published(client, editor, home, windows_at):
    url = reverse("wagtailadmin_pages:add", args=["cms_pages", "refundpolicypage", home.pk])
    assert client.get(url).status_code == 200
    response = client.post(url, {**form(None, refused(), guarantee(30)), "action-publish": "1"}, follow=True)
    page = RefundPolicyPage.objects.get()
    assert page.live
    assert [child.value["anchor"] for child in page.clauses] == ["final-sale", "money-back"]
    assert "Version 1 is in force for purchases from now on." in told(response)


def test_the_anchor_is_shown_and_cannot_be_edited(client, editor, make_page):
    page = make_page(guarantee(14))
    shown = unescape(client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode())
    assert re.search(r'\["anchor", [^>]+<input[^>]+ readonly ', shown)


def test_the_address_where_customers_ask_for_refunds_is_refused(client, editor, home, make_page):
    url = reverse("wagtailadmin_pages:add", args=["cms_pages", "refundpolicypage", home.pk])
    response = client.post(url, {**form(None, guarantee(30), slug="refunds"), "action-publish": "1"})
    assert "Choose another one" in response.context["form"].errors["slug"][0]
    assert not RefundPolicyPage.objects.exists()


def test_publishing_from_the_form_freezes_and_says_which_version(client, editor, make_page, windows_at):
    page = make_page(guarantee(14))
    response = post(client, page, form(page, guarantee(30, anchor="money-back")))
    assert windows_at() == [30]
    assert "Version 2 is in force for purchases from now on." in told(response)
    assert PolicyVersion.objects.get(number=2).frozen_by == str(editor.pk)


def test_publishing_for_a_later_day_says_from_when(client, editor, make_page, windows_at):
    page = make_page(guarantee(14))
    response = post(client, page, form(page, guarantee(30), effective_from=later(days=40).strftime("%Y-%m-%d %H:%M")))
    assert windows_at() == [14]
    assert "Version 2 will be in force for purchases from" in told(response)


def test_a_page_without_clauses_cannot_be_published(client, editor, make_page, windows_at):
    page = make_page(guarantee(14))
    response = post(client, page, form(page))
    assert "Add at least one clause" in clauses_errors(response)
    assert windows_at() == [14]


@pytest.mark.parametrize("days", [0, -3, 40_000])
def test_a_window_that_makes_no_sense_cannot_be_published_and_the_error_is_at_its_clause(client, editor, make_page, windows_at, days):
    page = make_page(guarantee(14))
    response = post(client, page, form(page, refused(), guarantee(days)))
    errors = json.loads(clauses_errors(response))
    assert "between 1 and" in json.dumps(errors["blockErrors"]["1"])
    assert "0" not in errors["blockErrors"]
    assert windows_at() == [14]


def test_a_clause_that_nothing_can_reach_cannot_be_published(client, editor, make_page, windows_at):
    page = make_page(guarantee(14))
    response = post(client, page, form(page, guarantee(30), guarantee(14)))
    assert "can never apply" in clauses_errors(response)
    assert windows_at() == [14]


def test_a_price_range_upside_down_cannot_be_published(client, editor, make_page):
    page = make_page(guarantee(14))
    selector = {**EMPTY_SELECTOR, "price_from_minor": 9000, "price_to_minor": 1000}
    assert "lowest price is above the highest" in clauses_errors(post(client, page, form(page, guarantee(30, selector=selector))))


def test_a_clause_without_its_reason_cannot_be_published(client, editor, make_page):
    page = make_page(guarantee(14))
    assert "required" in clauses_errors(post(client, page, form(page, refused(reason=""))))


def test_a_limit_finer_than_the_currency_is_refused(client, editor, make_page):
    page = make_page(guarantee(14))
    data = form(page, guarantee(30), limits=streamfield([("limit", {"currency": "JPY", "amount": "10.5"})]))
    assert post(client, page, data).context["form"].errors["limits"]


def test_an_unfinished_draft_can_be_saved(client, editor, make_page, windows_at):
    page = make_page(guarantee(14))
    response = post(client, page, form(page, guarantee(0), refused(reason="")), action="action-save")
    assert not response.context["form"].errors
    draft = RefundPolicyPage.objects.get(pk=page.pk).get_latest_revision_as_object()
    assert draft.clauses[0].value["window_days"] == 0
    assert windows_at() == [14]


def test_dating_back_needs_a_reason(client, editor, make_page):
    page = make_page(guarantee(14), live=False)
    data = form(page, guarantee(30), founding_from=later(days=-100).strftime("%Y-%m-%d %H:%M"))
    errors = post(client, page, data).context["form"].errors
    assert "Say why" in errors["founding_reason"][0]
    assert not PolicyVersion.objects.exists()


def test_dating_back_into_the_future_is_refused(client, editor, make_page):
    page = make_page(guarantee(14), live=False)
    data = form(page, guarantee(30), founding_from=later(days=100).strftime("%Y-%m-%d %H:%M"), founding_reason="Why not.")
    assert "past" in post(client, page, data).context["form"].errors["founding_from"][0]


def test_dating_back_is_offered_until_the_first_version(client, editor, make_page):
    draft, live = make_page(guarantee(14), live=False), make_page(guarantee(14), slug="live")
    for page, offered in ((draft, True), (live, False)):
        fields = client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).context["form"].fields
        assert ("founding_from" in fields) is offered


def test_a_gap_is_told_after_publishing(client, editor, make_page):
    page = make_page(guarantee(14))
    assert "No clause is about everything" in told(post(client, page, form(page, refused())))


def test_a_clause_of_a_plugin_that_is_not_installed_survives_the_form(client, editor, make_page):
    page = make_page(guarantee(14), FOREIGN)
    shown = client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()
    assert "Clause of a plug-in that is not installed" in shown
    before = stored_clauses(page)[1]
    kept = {"type": "kept", "value": {"raw": page.clauses[1].value["raw"]}}
    post(client, page, form(page, guarantee(30), kept))
    assert RefundPolicyPage.objects.get(pk=page.pk).clauses[0].value["window_days"] == 30
    assert stored_clauses(page)[1] == before == FOREIGN


def test_the_editor_is_not_offered_to_add_clauses_of_missing_plugins(client, editor, make_page):
    page = make_page(guarantee(14))
    shown = client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()
    assert "Money-back guarantee" in shown
    assert "Clause of a plug-in that is not installed" not in shown


def test_words_about_a_clause_are_saved_by_its_anchor(client, editor, make_page, windows_at):
    page = make_page(guarantee(14, anchor="guarantee"))
    shown = client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()
    assert "14-day guarantee" in shown
    words = {"prose-anchor": ["guarantee"], "prose-guarantee-body": "We mean it."}
    post(client, page, {**form(page, guarantee(14, anchor="guarantee")), **words})
    assert RefundPolicyPage.objects.get(pk=page.pk).prose == {"guarantee": {"body": "We mean it."}}
    post(client, page, {**form(page, guarantee(14, anchor="guarantee")), **words, "prose-guarantee-body": ""})
    assert RefundPolicyPage.objects.get(pk=page.pk).prose == {}


def test_a_translation_has_words_and_no_values_to_edit(client, editor, make_page, home, windows_at):
    german = Locale.objects.get_or_create(language_code="de")[0]
    home.copy_for_translation(german)
    faulty = {"title": "", "selector": EMPTY_SELECTOR, "anchor": "faulty", "window_days": 730, "evidence": "A picture."}
    page = make_page(refused(anchor="final"), guarantee(14, anchor="guarantee"), {"type": "defective", "value": faulty})
    translation = page.copy_for_translation(german)
    response = client.get(reverse("wagtailadmin_pages:edit", args=[translation.pk]))
    assert not {"clauses", "limits", "effective_from", "founding_from"} & set(response.context["form"].fields)
    assert "This is a translation" in response.content.decode()
    words = {
        "prose-anchor": ["final", "guarantee", "faulty"],
        "prose-faulty-evidence": "Ein Bild.",
        "prose-final-title": "Ausverkauf",
        "prose-final-reason": "Es war stark verbilligt.",
        "prose-guarantee-body": "Versprochen.",
    }
    data = {name: value for name, value in form(translation).items() if not name.startswith(("clauses", "limits"))}
    post(client, translation, {**data, **words})
    translation = RefundPolicyPage.objects.get(pk=translation.pk)
    assert translation.prose["final"] == {"title": "Ausverkauf", "reason": "Es war stark verbilligt."}
    assert translation.prose["faulty"] == {"evidence": "Ein Bild."}
    assert "Ein Bild." in client.get(reverse("wagtailadmin_pages:edit", args=[translation.pk])).content.decode()
    assert [child.block_type for child in translation.clauses] == ["non_refundable", "money_back", "defective"]
    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize("action", ["unpublish", "delete"])
def test_taking_the_policy_away_warns_that_a_person_decides_from_now_on(client, editor, make_page, windows_at, action):
    page = make_page(guarantee(14))
    response = client.post(reverse(f"wagtailadmin_pages:{action}", args=[page.pk]), follow=True)
    assert "a person decides what is bought from now on" in told(response)
    assert windows_at() is None


def test_taking_an_unused_copy_away_warns_of_nothing(client, editor, make_page, windows_at):
    page = make_page(guarantee(14))
    copy = page.copy(update_attrs={"slug": "copy"})
    assert "a person decides" not in told(client.post(reverse("wagtailadmin_pages:delete", args=[copy.pk]), follow=True))
    assert windows_at() == [14]


# -- preview --------------------------------------------------------------------------------------------------------


def preview(client: Any, page: RefundPolicyPage, data: dict[str, Any]) -> str:
    """What the preview panel shows for what is in the form."""
    url = reverse("wagtailadmin_pages:preview_on_edit", args=[page.pk])
    assert client.post(url, data).json() == {"is_valid": True, "is_available": True}
    return client.get(url).content.decode()


def test_the_preview_shows_the_text_made_from_the_values_in_the_form(client, editor, make_page):
    page = make_page(guarantee(14))
    shown = preview(client, page, form(page, guarantee(45, anchor="money-back")))
    assert "Ask within 45 days" in shown
    assert "Ask within 14 days" not in shown
    assert "Draft." in shown


def test_the_preview_shows_what_the_linter_says_and_unfinished_clauses(client, editor, make_page):
    page = make_page(guarantee(14))
    shown = preview(client, page, form(page, refused(reason=""), guarantee(0)))
    assert "between 1 and" in shown
    assert "A person decides" in shown


def test_the_preview_of_an_empty_page_says_what_to_do(client, editor, make_page):
    page = make_page(guarantee(14))
    assert "Add at least one clause" in preview(client, page, form(page))


# -- which policy the shop uses -------------------------------------------------------------------------------------


def test_an_editor_can_let_the_shop_use_a_copy(client, editor, make_page, windows_at, store):
    page = make_page(guarantee(14))
    copy = RefundPolicyPage.objects.get(pk=page.copy(update_attrs={"slug": "copy", "title": "Copy"}).pk)
    response = post(client, copy, form(copy, guarantee(30)))
    assert "takes its decisions from another policy" in told(response)
    assert windows_at() == [14]

    url = reverse("refund_policy_use", args=[copy.pk])
    assert "Copy" in client.get(url).content.decode()
    assert windows_at() == [14]
    assert "now uses this policy" in told(client.post(url, follow=True))
    assert windows_at() == [30]
    assert policy_for_key(str(copy.translation_key)).store == store
    assert "No shop takes its decisions" in client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()


def test_who_may_not_publish_cannot_choose_the_shops_policy(client, make_page, home, windows_at, django_user_model):
    page = make_page(guarantee(14))
    copy = publish(RefundPolicyPage.objects.get(pk=page.copy(update_attrs={"slug": "copy"}).pk), guarantee(30))
    group = Group.objects.create(name="Writers")
    GroupPagePermission.objects.create(group=group, page=home, permission_type="change")
    group.permissions.add(Permission.objects.get(content_type__app_label="wagtailadmin", codename="access_admin"))
    writer = django_user_model.objects.create_user("writer", "writer@example.com", "secret")
    writer.groups.add(group)
    client.force_login(writer)
    client.post(reverse("refund_policy_use", args=[copy.pk]))
    assert windows_at() == [14]
    assert policy_for_key(str(copy.translation_key)).store is None


def test_other_pages_cannot_be_used_as_a_policy(client, editor, home):
    assert client.get(reverse("refund_policy_use", args=[home.pk])).status_code == 404
