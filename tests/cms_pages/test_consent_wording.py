"""Editors write the words of the checkout as a snippet: what is published is what customers read, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.template import Context, Template
from django.urls import reverse
from wagtail.models import Locale

from cms_pages.models import ConsentWording
from refund_plugin import clock
from refund_plugin.content import consent_wordings
from refund_plugin.models import Consent
from refund_plugin.policies.consent_wording import current_wording
from refund_plugin.stores.models import Store
from refund_plugin.web.consent import ConsentForm, record_checkout_consent
from tests.factories import make_purchase

OURS = "Give me access at once, before the time to withdraw is over."
WORDS = {
    "introduction": "You may withdraw within 14 days.\nHere you choose.",
    "agreement": "I ask that my book is here at once.",
    "acknowledgement": "I know that I lose my right to withdraw with that.",
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def english(home: Any) -> Locale:
    return Locale.objects.get(language_code="en")


@pytest.fixture
def german(home: Any) -> Locale:
    return Locale.objects.create(language_code="de")


def published(locale: Locale, **changes: str) -> ConsentWording:
    row = ConsentWording.objects.create(locale=locale, **{**WORDS, **changes})
    row.save_revision().publish()
    return row


def rendered(form: ConsentForm) -> BeautifulSoup:
    html = Template("{% load refund_law %}{% refund_consent form %}").render(Context({"form": form}))
    return BeautifulSoup(html, "html.parser")


def url(name: str, *args: object) -> str:
    return reverse(f"wagtailsnippets_cms_pages_consentwording:{name}", args=args)


def sent(**changes: str) -> dict[str, str]:
    """Return what the form in the admin sends."""
    return {"nature": "content", **WORDS, "go_live_at": "", "expire_at": "", **changes}


def editor_with(client: Any, *actions: str) -> None:
    group = Group.objects.create(name="Wording editors")
    group.permissions.add(
        Permission.objects.get(content_type__app_label="wagtailadmin", codename="access_admin"),
        *(Permission.objects.get(content_type__app_label="cms_pages", codename=f"{action}_consentwording") for action in actions),
    )
    user = get_user_model().objects.create_user("wanda", "wanda@example.com", "secret")
    user.groups.add(group)
    client.force_login(user)


def test_the_checkout_shows_what_editors_published_and_records_it_to_the_character(english: Locale, store: Store) -> None:
    published(english)
    page = rendered(ConsentForm())
    assert [label.get_text() for label in page.select("label")] == [WORDS["agreement"], WORDS["acknowledgement"]]
    assert page.select_one(".refund-consent-introduction").get_text("\n") == WORDS["introduction"]
    data = {"consent-begin": "on", "consent-acknowledge": "on", "consent-seen": page.select_one("[type=hidden]")["value"]}
    consent = record_checkout_consent(form=ConsentForm(data), purchase=make_purchase(), now=clock.now())
    assert (consent.wording, consent.locale) == ("\n".join(WORDS.values()), "en")


def test_the_lines_of_a_form_are_kept_as_lines_and_a_sentence_is_one(english: Locale) -> None:
    published(english, introduction="One.\r\n\r\nTwo.", agreement="At once,\r\nplease. ")
    words = current_wording()
    assert (words.introduction, words.begin) == ("One.\n\nTwo.", "At once, please.")


def test_while_nothing_is_published_the_words_are_ours(english: Locale) -> None:
    ConsentWording.objects.create(locale=english, live=False, **WORDS)
    assert current_wording().begin == OURS and current_wording().introduction == ""


def test_a_draft_of_published_words_changes_nothing_until_it_is_published(english: Locale) -> None:
    row = published(english)
    row.agreement = "Quite another wish."
    revision = row.save_revision()
    assert current_wording().begin == WORDS["agreement"]
    revision.publish()
    assert current_wording().begin == "Quite another wish."


def test_unpublished_words_end_and_what_was_recorded_with_them_stays(english: Locale, store: Store) -> None:
    row = published(english)
    data = {"consent-begin": "on", "consent-acknowledge": "on", "consent-seen": ConsentForm().signed}
    row.unpublish()
    assert current_wording().begin == OURS
    record_checkout_consent(form=ConsentForm(data), purchase=make_purchase(), now=clock.now())
    row.delete()
    assert Consent.objects.get().wording == "\n".join(WORDS.values())


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("de", "Sofort."), ("de-at", "Sofort."), ("de_AT", "Sofort."), ("en-gb", WORDS["agreement"]), ("fr", None), ("", None)],
)
def test_each_language_has_its_words_also_in_its_regions_and_no_language_has_anothers(
    english: Locale, german: Locale, asked: str, answered: str | None
) -> None:
    published(english)
    published(german, agreement="Sofort.")
    found = consent_wordings().wording("content", asked)
    assert (found.begin if found else None) == answered
    assert found is None or found.locale == asked[:2]


def test_a_region_with_words_of_its_own_has_these(german: Locale) -> None:
    published(german, agreement="Sofort.")
    published(Locale.objects.create(language_code="de-ch"), agreement="Grüezi.")
    assert consent_wordings().wording("content", "de-ch").begin == "Grüezi."  # type: ignore[union-attr]


def test_content_and_services_have_words_of_their_own(english: Locale) -> None:
    published(english)
    published(english, nature="service", agreement="Begin my course.")
    assert (current_wording("content").begin, current_wording("service").begin) == (WORDS["agreement"], "Begin my course.")


def test_words_that_a_script_left_empty_are_never_asked(english: Locale) -> None:
    ConsentWording.objects.create(locale=english, **{**WORDS, "acknowledgement": ""})
    assert current_wording().begin == OURS


def test_looking_the_words_up_is_one_query(english: Locale, german: Locale, django_assert_num_queries: Any) -> None:
    published(english)
    published(german)
    with django_assert_num_queries(1):
        ConsentForm()


def test_what_editors_wrote_is_text_everywhere_and_never_a_template(english: Locale, editor: Any, client: Any) -> None:
    wild = {"introduction": "<b>Hear</b> {{ form }}", "agreement": "<script>alert(1)</script>{% now 'Y' %}"}
    row = published(english, **wild)
    shown = rendered(ConsentForm())
    client.post(url("preview_on_edit", row.pk), sent(**wild))
    preview = BeautifulSoup(client.get(url("preview_on_edit", row.pk)).content, "html.parser")
    listed = client.get(url("list")).content.decode()
    for page in (shown, preview.select_one(".refund-consent")):
        assert page.select_one("label").get_text() == "<script>alert(1)</script>{% now 'Y' %}"
        assert "<b>Hear</b> {{ form }}" in page.get_text() and not page.select("script, b")
    assert "<script>alert(1)" not in listed and "&lt;script&gt;alert(1)" in listed


def test_an_editor_writes_publishes_and_previews_in_the_admin(english: Locale, editor: Any, client: Any) -> None:
    saved = client.post(url("add"), sent())
    row = ConsentWording.objects.get()
    assert saved.status_code == 302 and not row.live and current_wording().begin == OURS
    preview = client.post(url("preview_on_edit", row.pk), sent(agreement="As it stands in the form."))
    assert preview.json() == {"is_valid": True, "is_available": True}
    assert "As it stands in the form." in client.get(url("preview_on_edit", row.pk)).content.decode()
    client.post(url("edit", row.pk), sent(**{"action-publish": "1"}))
    assert current_wording().begin == WORDS["agreement"]
    assert row.revisions.count() == 2


def test_a_new_one_is_previewed_before_it_was_ever_saved(english: Locale, editor: Any, client: Any) -> None:
    assert client.post(url("preview_on_add"), sent()).json()["is_valid"]
    assert WORDS["agreement"] in client.get(url("preview_on_add")).content.decode()
    assert not ConsentWording.objects.exists()


@pytest.mark.parametrize("field", ["introduction", "agreement", "acknowledgement"])
@pytest.mark.parametrize("text", ["", "   ", "x" * 1_001], ids=["empty", "blank", "too long"])
def test_empty_and_endless_words_are_not_published(english: Locale, editor: Any, client: Any, field: str, text: str) -> None:
    answer = client.post(url("add"), sent(**{field: text, "action-publish": "1"}))
    assert list(answer.context["form"].errors) == [field]
    assert not ConsentWording.objects.exists()


def test_a_second_one_for_the_same_thing_in_the_same_language_is_refused_with_the_way_out(
    english: Locale, editor: Any, client: Any
) -> None:
    first = published(english)
    answer = client.post(url("add"), sent(agreement="Another."))
    assert "Change that one" in answer.context["form"].errors["nature"][0]
    assert list(ConsentWording.objects.all()) == [first]
    assert client.post(url("add"), sent(nature="service")).status_code == 302


def test_a_copy_for_another_language_is_no_words_of_that_language_before_somebody_translated_it(english: Locale, german: Locale) -> None:
    row = published(english)
    copied = row.copy_for_translation(german)
    copied.save()
    assert consent_wordings().wording("content", "de") is None
    assert copied.latest_revision is None and row.latest_revision is not None
    copied.agreement = "Sofort."
    copied.save_revision().publish()
    assert consent_wordings().wording("content", "de").begin == "Sofort."  # type: ignore[union-attr]
    assert current_wording().begin == WORDS["agreement"]


def test_who_may_change_and_not_publish_leaves_what_customers_read(english: Locale, client: Any) -> None:
    row = published(english)
    editor_with(client, "change")
    client.post(url("edit", row.pk), sent(agreement="Mine.", **{"action-publish": "1"}))
    row.refresh_from_db()
    assert row.get_latest_revision_as_object().agreement == "Mine."
    assert current_wording().begin == WORDS["agreement"]


def test_who_lacks_the_permission_is_refused_and_nothing_changed(english: Locale, client: Any) -> None:
    row = published(english)
    editor_with(client)
    for path in (url("add"), url("edit", row.pk), url("delete", row.pk), url("unpublish", row.pk)):
        assert client.post(path, sent(agreement="Mine.", **{"action-publish": "1"})).status_code == 302
    assert ConsentWording.objects.get().revisions.count() == 1
    assert current_wording().begin == WORDS["agreement"]
