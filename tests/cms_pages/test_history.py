"""The public history of a policy: what was in force when, and what each version changed, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from wagtail.models import Locale

from refund_plugin.policies.queries import policy_for_key
from refund_plugin.policies.services import freeze_policy
from refund_plugin.rules import MoneyBack, PolicyDocument, dump_document
from tests.cms_pages.examples import EMPTY_SELECTOR, guarantee, later, publish, refused
from tests.cms_pages.test_reading import read

pytestmark = pytest.mark.django_db

LIMIT = {"type": "limit", "value": {"currency": "EUR", "amount": "50.00"}}


def freeze(key: str, number: int, *, store: Any = None) -> None:
    document = dump_document(PolicyDocument((MoneyBack(anchor="a", window_days=number),)))
    freeze_policy(
        key=key, title="Refunds", document=document, now=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number), assign_to=store
    )


def test_what_changed_is_told_in_sentences(client, make_page):
    page = make_page(guarantee(30, anchor="a"), refused(anchor="b"))
    assert "What changed" not in read(client, page.url)
    publish(page, guarantee(14, anchor="a"), guarantee(60, title="New one", anchor="c", percent=50))
    for url in (page.url, page.url + "versions/", page.url + "versions/2/"):
        text = read(client, url)
        assert "What changed" in text
        assert "The window went from 30 to 14 days." in text
        assert "New one New rule: Ask within 60 days of buying, and you get 50% of the price back." in text
        assert "Final sale Rule removed. It said: For what is tagged final-sale." in text
    assert "What changed" not in read(client, page.url + "versions/1/")


def test_a_clause_that_others_were_put_below_is_told_because_the_first_that_applies_decides(client, make_page):
    page = make_page(guarantee(14, anchor="a"), refused(anchor="b"))
    publish(page, refused(anchor="b"), guarantee(14, anchor="a"))
    assert "Final sale It is now read before “14-day guarantee”." in read(client, page.url)


def test_each_version_is_compared_with_the_one_that_counted_before_it(client, make_page):
    page = make_page(guarantee(14, anchor="a"))
    page = publish(page, guarantee(30, anchor="a"), effective_from=later(days=10))
    publish(page, guarantee(60, anchor="a"), effective_from=later(days=20))
    text = read(client, page.url + "versions/")
    assert "The window went from 14 to 60 days." in text
    assert "30 days" not in text


def test_the_page_announces_what_a_version_to_come_changes(client, make_page):
    page = make_page(guarantee(30, anchor="a"))
    publish(page, guarantee(14, anchor="a"), effective_from=later(days=40))
    text = read(client, page.url)
    assert text.index("New terms apply to purchases from") < text.index("The window went from 30 to 14 days.") < text.index("Read them now")
    assert text.count("The window went") == 1
    assert "Ask within 30 days" in text


def test_the_amount_from_which_a_person_looks_is_never_shown_to_the_public(client, make_page):
    page = make_page(guarantee(30))
    publish(page, guarantee(30), limits=[LIMIT])
    for url in (page.url, page.url + "versions/", page.url + "versions/2/"):
        text = read(client, url)
        assert "What you can get back has not changed." in text
        assert "50" not in text


def test_the_change_is_told_with_the_words_of_the_page(client, make_page, home, settings):
    settings.WAGTAIL_I18N_ENABLED = True
    settings.WAGTAIL_CONTENT_LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    german = Locale.objects.get_or_create(language_code="de")[0]
    home.copy_for_translation(german).save_revision().publish()
    page = make_page(refused(anchor="final"), guarantee(30, anchor="guarantee"))
    page = publish(page, refused(anchor="final"), guarantee(14, anchor="guarantee"))
    # translated after the first version: that is no change of the rule
    words = {"final": {"title": "Ausverkauf", "reason": "Es war stark verbilligt."}, "guarantee": {"title": "Versprechen"}}
    translation = publish(page.copy_for_translation(german), prose=words)
    text = read(client, translation.url + "versions/", "de")
    assert "Versprechen The window went from 30 to 14 days." in text
    assert "Ausverkauf The" not in text
    publish(page, refused(anchor="final"), guarantee(10, anchor="guarantee"))
    publish(translation, prose={**words, "final": {"title": "Ausverkauf", "reason": "Es war ein Restposten."}})
    text = read(client, translation.url + "versions/", "de")
    assert "Ausverkauf The reason now reads: Es war ein Restposten. Before: Es war stark verbilligt." in text


def test_text_that_an_editor_changed_is_escaped(client, make_page):
    page = make_page(refused(anchor="a"))
    publish(page, refused(anchor="a", reason="<script>alert(1)</script> %(after)s {{ x }}", title="<b>x</b>"))
    html = client.get(page.url + "versions/").content.decode()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; %(after)s {{ x }}" in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html


def test_a_long_history_is_shown_in_parts_with_the_same_number_of_queries(client, make_page, store):
    page = make_page(guarantee(14))

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            read(client, page.url + "versions/")
        return len(captured)

    publish(page, guarantee(100))
    read(client, page.url + "versions/")
    few = queries()
    for number in range(2, 45):
        freeze(page.policy_key, number)
    read(client, page.url + "versions/")
    assert queries() == few
    assert policy_for_key(page.policy_key).versions.count() == 45
    newest = read(client, page.url + "versions/")
    assert "Version 45" in newest
    assert "Version 25" not in newest
    assert "Newer versions" not in newest
    assert "The first version." in read(client, page.url + "versions/?page=3")
    assert "Version 45" in read(client, page.url + "versions/?page=wrong")


def test_the_prices_a_rule_is_for_are_told_in_the_currency_of_the_policy(client, make_page):
    page = make_page(guarantee(30, anchor="a"), limits=[LIMIT])
    publish(page, guarantee(30, anchor="a", selector={**EMPTY_SELECTOR, "price_to_minor": 500}))
    assert "It is now for prices up to €5.00. Before, it was for everything." in read(client, page.url + "versions/")
