"""One decision has one explanation, whoever reads it and wherever, in their language."""

from __future__ import annotations

from io import BytesIO

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from bs4 import BeautifulSoup
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import translation

from refund_plugin.events.services import deliver_due
from refund_plugin.localize import formatter_for
from refund_plugin.orders.access import record_access
from refund_plugin.policies.services import add_text
from refund_plugin.refunds.explaining import engine_decision, explain_decision
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.tracking import tracking_token
from refund_plugin.rules import MoneyBack, UnusedOnly
from tests.factories import MEMORY, NOW, make_purchase, publish_policy
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db
QUERY = """query ($token: String!) { refundRequest(token: $token) { lines { verdict {
  explanation clause { title } considered { title held explanation conditions { label value state missedBy needed } }
} } } }"""
GERMAN = {
    ("%(clause)s allows %(limit)d download", "%(clause)s allows %(limit)d downloads"): (
        "%(clause)s erlaubt %(limit)d Download",
        "%(clause)s erlaubt %(limit)d Downloads",
    ),
    "; we found %(found)s, the last access on %(when)s.": "; gefunden: %(found)s, zuletzt am %(when)s.",
    "the clause “%(title)s”": "Die Regel „%(title)s“",
    "Missed: %(by)s.": "Verfehlt: %(by)s.",
    ("%(count)d download too many", "%(count)d downloads too many"): ("%(count)d Download zu viel", "%(count)d Downloads zu viel"),
    ("%(days)d day too late", "%(days)d days too late"): ("%(days)d Tag zu spät", "%(days)d Tage zu spät"),
    "It would apply with: %(needed)s.": "Sie gälte mit: %(needed)s.",
    "no downloads": "keine Downloads",
    "Downloads": "Downloads bisher",
}
SAID = {
    "en": (
        "allows 0 downloads; we found 1",
        "Missed: 1 download too many. It would apply with: no downloads.",
        "Missed: 4 days too late.",
    ),
    "de": (
        "erlaubt 0 Downloads; gefunden: 1",
        "Verfehlt: 1 Download zu viel. Sie gälte mit: keine Downloads.",
        "Verfehlt: 4 Tage zu spät.",
    ),
}


@pytest.fixture
def shop(gateway, settings, tmp_path):
    """A shop with a catalogue of a second language, and a policy that is worded in it."""
    catalog = Catalog(locale="de")
    for message, text in GERMAN.items():
        catalog.add(message, text)
    written = BytesIO()
    write_mo(written, catalog)
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(written.getvalue())
    settings.LOCALE_PATHS = [str(tmp_path)]
    settings.REFUND_PLUGIN = {**MEMORY, "PUBLIC_URL": "https://shop.example"}
    clauses = [UnusedOnly(anchor="unused", title="Unopened", window_days=30), MoneyBack(anchor="back", title="Any time", window_days=2)]
    version = publish_policy(clauses=clauses)
    add_text(version=version, locale="de", texts={"unused": {"title": "Ungeöffnet"}, "back": {"title": "Jederzeit"}}, now=NOW)


def declined(language: str) -> RefundRequest:
    purchase = make_purchase()
    record_access(line=purchase.lines.get(), kind="downloaded", source_id="1", occurred_at=NOW)
    return ask(purchase, locale=language)


def flat(html: str) -> str:
    return " ".join(BeautifulSoup(html, "html.parser").get_text(" ").split())


def on_the_track_page(request: RefundRequest, language: str, mails: list) -> str:
    path = reverse("refund_plugin:track", args=[tracking_token(request)])
    return flat(Client().get(path, headers={"Accept-Language": language}).content.decode())


def in_the_api(request: RefundRequest, language: str, mails: list) -> str:
    answer = (
        Client()
        .post(
            "/refunds/graphql/",
            {"query": QUERY, "variables": {"token": tracking_token(request)}},
            content_type="application/json",
            headers={"Accept-Language": language},
        )
        .json()
    )
    verdict = answer["data"]["refundRequest"]["lines"][0]["verdict"]
    return flat(" ".join([verdict["explanation"], *(f"{each['title']} {each['explanation']}" for each in verdict["considered"])]))


def in_the_mail(request: RefundRequest, language: str, mails: list) -> str:
    deliver_due()
    return flat(mails[0].body) + flat(mails[0].alternatives[0][0])


def on_the_case_page(request: RefundRequest, language: str, mails: list) -> str:
    admin = get_user_model().objects.create_superuser("root")
    admin.wagtail_userprofile, _made = type(admin).wagtail_userprofile.related.related_model.objects.get_or_create(user=admin)
    admin.wagtail_userprofile.preferred_language = language
    admin.wagtail_userprofile.save()
    browser = Client()
    browser.force_login(admin)
    return flat(browser.get(reverse("refund_cases:case", args=[request.pk])).content.decode())


DOORS = [on_the_track_page, in_the_api, in_the_mail, on_the_case_page]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_the_same_sentences_are_told_at_every_door_in_the_readers_language(shop, mailoutbox, door, language):
    request = declined(language)
    with translation.override(language):
        formatter = formatter_for(timezone=request.store.timezone)
        [told] = explain_decision(engine_decision(request), version=request.policy_version, formatter=formatter).values()
    explanation = told.explanation
    sentences = [explanation.sentence, *(note.text for note in explanation.considered)]
    assert all(said in text for said, text in zip(SAID[language], sentences, strict=True))
    assert [note.title for note in explanation.considered] == {"en": ["Unopened", "Any time"], "de": ["Ungeöffnet", "Jederzeit"]}[language]

    shown = door(request, language, mailoutbox)
    for sentence in sentences:
        # a page puts the title of the clause into a link of its own
        assert all(flat(part) in shown for part in sentence.split(explanation.clause_title)), sentence


def test_a_decision_of_a_person_explains_nothing_by_the_policy(shop):
    assert explain_decision(None, version=None, formatter=formatter_for(timezone="UTC")) == {}


def test_reading_a_decision_again_takes_one_query_however_many_lines(shop, django_assert_num_queries):
    request = declined("en")
    decision, version = engine_decision(request), request.policy_version
    with django_assert_num_queries(1):  # the words of the policy
        explain_decision(decision, version=version, formatter=formatter_for(timezone="UTC"))
