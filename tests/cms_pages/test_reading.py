"""What customers read: the policy page, its versions, and the summaries in a host's own templates."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import reverse
from wagtail.models import Locale

from refund_plugin import clock
from refund_plugin.content import policy_pages
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.queries import version_in_force
from tests.cms_pages.examples import EMPTY_SELECTOR, guarantee, later, publish, refused

pytestmark = pytest.mark.django_db


def read(client: Any, url: str, language: str = "en") -> str:
    """A page's text without tags and extra space."""
    response = client.get(url, headers={"accept-language": language})
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode()))


def rendered(source: str, **context: Any) -> str:
    request = RequestFactory().get("/", headers={"host": "testserver"})
    return Template("{% load refund_policy %}" + source).render(Context({"request": request, **context}))


def footer() -> str:
    return rendered("{% refund_policy_summary %}")


# -- the page -------------------------------------------------------------------------------------------------------


def test_the_page_shows_each_clause_in_plain_words_with_an_anchor(client, make_page):
    page = make_page(refused(), guarantee(30), intro="We want you to be happy.")
    html = client.get(page.url).content.decode()
    assert 'id="final-sale"' in html
    assert 'id="money-back"' in html
    text = read(client, page.url)
    assert "We want you to be happy." in text
    assert "In force since" in text
    assert "It was sold at a final discount." in text
    assert "Ask within 30 days of buying, and you get everything back." in text
    assert f'href="{reverse("refund_plugin:ask")}"' in html


def test_the_page_has_no_inline_script_or_style(client, make_page):
    page = make_page(refused(), guarantee(30))
    publish(page, guarantee(14))
    for url in (page.url, page.url + "versions/", page.url + "versions/1/"):
        html = client.get(url).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=| type=\"application/ld\+json\">)|<style|\sstyle=|\son\w+=", html)


def test_text_that_an_editor_writes_is_escaped(client, make_page):
    page = make_page(refused(reason="<script>alert(1)</script>"), intro="<b>x</b>", prose={"final-sale": {"body": "<i>y</i>"}})
    html = client.get(page.url).content.decode()
    assert "<script>alert" not in html
    assert "&lt;b&gt;x" in html
    assert "&lt;i&gt;y" in html


def test_the_page_shows_the_version_in_force_and_announces_the_next(client, make_page):
    page = make_page(guarantee(14))
    publish(page, guarantee(30), effective_from=later(days=40))
    html = client.get(page.url).content.decode()
    assert "Ask within 14 days" in html
    assert "Ask within 30 days" not in html
    assert "New terms apply to purchases from" in html
    assert f'{page.url}versions/2/"' in html
    assert "Ask within 30 days" in read(client, page.url + "versions/2/")


def test_a_version_to_come_is_shown_as_such_while_none_is_in_force(client, make_page):
    page = make_page(guarantee(14), effective_from=later(days=40))
    text = read(client, page.url)
    assert "In force from" in text
    assert "In force since" not in text


def test_a_draft_is_not_shown(client, make_page):
    page = make_page(guarantee(14))
    page.clauses = [guarantee(99)]
    page.save_revision()
    assert "99" not in read(client, page.url)


def test_a_translated_page_has_its_own_words(client, make_page, home, settings):
    settings.WAGTAIL_I18N_ENABLED = True
    settings.WAGTAIL_CONTENT_LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    german = Locale.objects.get_or_create(language_code="de")[0]
    home.copy_for_translation(german).save_revision().publish()
    page = make_page(refused(anchor="final"), guarantee(14, anchor="guarantee"))
    words = {"final": {"title": "Ausverkauf", "reason": "Es war stark verbilligt."}, "guarantee": {"body": "Versprochen."}}
    translation = publish(page.copy_for_translation(german), prose=words, intro="Willkommen.")
    text = read(client, translation.url, "de")
    assert "Ausverkauf" in text
    assert "Es war stark verbilligt." in text
    assert "Versprochen." in text
    assert "Willkommen." in text
    assert "It was sold at a final discount." not in text
    assert "Ausverkauf" not in read(client, page.url)


# -- versions -------------------------------------------------------------------------------------------------------


def test_every_version_can_be_read_as_it_was(client, make_page):
    page = make_page(guarantee(14))
    publish(page, guarantee(30))
    history = client.get(page.url + "versions/").content.decode()
    assert history.index("Version 2") < history.index("Version 1")
    assert history.count("In force") == 1
    first = read(client, page.url + "versions/1/")
    assert "Ask within 14 days" in first
    assert "Ask within 30 days" not in first
    assert "Read what is in force now" in first


def test_the_words_of_a_version_stay_with_it(client, make_page):
    page = make_page(guarantee(14, anchor="a"), prose={"a": {"body": "Old words."}})
    publish(page, guarantee(30, anchor="a"), prose={"a": {"body": "New words."}})
    assert "Old words." in read(client, page.url + "versions/1/")
    assert "New words." in read(client, page.url)


def test_the_history_says_when_each_version_counted_and_why_one_was_dated_back(client, make_page):
    page = make_page(guarantee(14), founding_from=later(days=-400), founding_reason="It stood in our terms.")
    publish(page, guarantee(30))
    text = read(client, page.url + "versions/")
    assert re.search(r"Version 1 For purchases from .+ until .+ Dated back: It stood in our terms\.", text)
    assert re.search(r"Version 2 In force For purchases from .+ on\.", text)


def test_a_version_that_never_counted_is_not_in_the_history(client, make_page):
    page = make_page(guarantee(14))
    page = publish(page, guarantee(30), effective_from=later(days=10))
    publish(page, guarantee(60), effective_from=later(days=20))
    text = read(client, page.url + "versions/")
    assert "Version 2" not in text
    assert "Version 3 To come" in text


@pytest.mark.parametrize("path", ["versions/2/", "versions/0/", "versions/x/", "versions/1/more/"])
def test_a_version_that_does_not_exist_is_not_found(client, make_page, path):
    assert client.get(make_page(guarantee(14)).url + path).status_code == 404


# -- links ----------------------------------------------------------------------------------------------------------


def test_a_decision_links_to_the_clause_in_the_version_that_decided(client, make_page, store):
    page = make_page(guarantee(14))
    first = version_in_force(store_id=store.pk, at=clock.now())
    assert policy_pages().policy_url(first, "money-back") == f"{page.url}#money-back"
    publish(page, guarantee(30))
    first = PolicyVersion.objects.get(number=1)
    assert policy_pages().policy_url(first, "money-back") == f"{page.url}versions/1/#money-back"
    assert client.get(f"{page.url}versions/1/").status_code == 200
    assert policy_pages().current_policy_url(store.pk) == page.url


def test_links_to_many_clauses_of_a_version_ask_the_database_once(make_page, store, django_assert_num_queries):
    make_page(guarantee(14))
    version = version_in_force(store_id=store.pk, at=clock.now())
    policy_pages().policy_url(version)
    with django_assert_num_queries(0):
        assert policy_pages().policy_url(version, "money-back").endswith("#money-back")


def test_a_link_of_a_version_that_a_process_keeps_follows_a_publication(make_page, store, monkeypatch):
    page = make_page(guarantee(14))
    version = version_in_force(store_id=store.pk, at=clock.now())
    assert policy_pages().policy_url(version) == page.url
    publish(page, guarantee(30))
    moment = later(seconds=10)
    monkeypatch.setattr(clock, "now", lambda: moment)
    assert policy_pages().policy_url(version) == f"{page.url}versions/1/"


def test_without_a_public_page_there_is_no_link(make_page, store):
    page = make_page(guarantee(14))
    page.unpublish()
    version = PolicyVersion.objects.get()
    assert policy_pages().policy_url(version, "money-back") == ""
    assert policy_pages().current_policy_url(store.pk) == ""


# -- template tags --------------------------------------------------------------------------------------------------


def test_the_footer_changes_at_once_when_the_policy_is_published(make_page):
    assert footer().strip() == ""
    page = make_page(guarantee(14))
    assert "14 days to change your mind" in footer()
    publish(page, guarantee(30))
    assert "30 days to change your mind" in footer()
    page.refresh_from_db()
    page.unpublish()
    assert footer().strip() == ""


def test_the_footer_links_each_line_to_its_clause(make_page):
    page = make_page(guarantee(14))
    assert f'href="{page.url}#money-back"' in footer()


def test_the_checkout_says_why_something_is_not_refundable_before_it_is_bought(make_page):
    make_page(refused(), guarantee(30))
    shown = rendered("{% refund_checkout_summary tags=tags %}", tags=["final-sale"])
    assert "Final sale" in shown
    assert "It was sold at a final discount." in shown
    assert "30 days" not in shown


def test_the_checkout_shows_what_is_about_the_product_and_nothing_else(make_page):
    ebooks = {**EMPTY_SELECTOR, "product_types": "ebook"}
    make_page(refused(), guarantee(60, selector=ebooks), guarantee(30))
    ebook = rendered('{% refund_checkout_summary product_type="ebook" sku="E-1" %}')
    assert "60 days" in ebook
    assert "30 days" in ebook
    course = rendered('{% refund_checkout_summary product_type="course" %}')
    assert "60 days" not in course
    assert "30 days" in course
    assert "final discount" not in ebook + course


def test_the_checkout_knows_prices(make_page):
    cheap = {**EMPTY_SELECTOR, "price_to_minor": 500}
    make_page(refused(selector=cheap), guarantee(30))
    assert "final discount" in rendered("{% refund_checkout_summary price_minor=499 %}")
    assert "final discount" not in rendered("{% refund_checkout_summary price_minor=501 %}")


def test_the_checkout_changes_at_once_when_the_policy_is_published(make_page):
    page = make_page(guarantee(14))
    assert "14 days" in rendered("{% refund_checkout_summary %}")
    publish(page, refused(selector=EMPTY_SELECTOR))
    assert "It was sold at a final discount." in rendered("{% refund_checkout_summary %}")


def test_the_tags_work_without_a_request(make_page):
    make_page(guarantee(14))
    shown = Template("{% load refund_policy %}{% refund_policy_summary %}").render(Context({}))
    assert "14 days" in shown
