"""The checkout block: what the customer reads is what is recorded, and the mail that confirms it makes it proof."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from django.template import Context, Template
from wagtail.models import Locale, Page, Site

from refund_plugin import clock, content
from refund_plugin.content import Wording
from refund_plugin.events.services import deliver_due
from refund_plugin.messaging.models import Message
from refund_plugin.models import Consent, ConsentConfirmation
from refund_plugin.policies.consent import consents_of
from refund_plugin.stores.models import Store
from refund_plugin.web.consent import ConsentForm, record_checkout_consent
from tests.factories import COURSE, EBOOK
from tests.web.conftest import buy

TICKED = {"consent-begin": "on", "consent-acknowledge": "on"}


@pytest.fixture(autouse=True)
def our_words(monkeypatch):
    """A shop whose editors have written nothing yet."""
    monkeypatch.setattr(content, "_consent_wordings", content.NoConsentWordings())


def rendered(form: ConsentForm) -> BeautifulSoup:
    html = Template("{% load refund_law %}{% refund_consent form %}").render(Context({"form": form}))
    return BeautifulSoup(html, "html.parser")


def sent(**changes: str) -> dict[str, str]:
    """Return what a browser sends from a fresh block with both boxes ticked."""
    page = rendered(ConsentForm())
    return {**TICKED, "consent-seen": page.select_one("[type=hidden]")["value"], **changes}


def written(monkeypatch, begin: str, acknowledge: str = "I know.") -> None:
    class Editors:
        def wording(self, nature: str, locale: str) -> Wording:
            return Wording(begin, acknowledge, locale)

    monkeypatch.setattr(content, "_consent_wordings", Editors())


def test_both_boxes_are_there_with_their_labels_and_neither_is_ticked_beforehand():
    page = rendered(ConsentForm())
    boxes = page.select("[type=checkbox]")
    assert [page.select_one(f"label[for={box['id']}]").get_text() for box in boxes] == [
        "Give me access at once, before the time to withdraw is over.",
        "I know that I lose my right to withdraw when I begin to use it.",
    ]
    assert not page.select("[checked], script, style, [style]")


def test_what_an_editor_wrote_is_shown_as_text_never_as_markup_or_a_template(monkeypatch):
    written(monkeypatch, "<b>At once</b> {{ form.data }}")
    page = rendered(ConsentForm())
    assert page.select_one("label").get_text() == "<b>At once</b> {{ form.data }}" and not page.select("b")


def test_what_is_recorded_is_what_this_customer_read_though_an_editor_published_another_text_meanwhile(policy, monkeypatch):
    data = sent()
    written(monkeypatch, "Something quite different.")
    consent = record_checkout_consent(form=ConsentForm(data), purchase=buy(EBOOK), now=clock.now())
    assert consent.wording == (
        "Give me access at once, before the time to withdraw is over.\nI know that I lose my right to withdraw when I begin to use it."
    )


def test_the_words_about_a_service_cannot_be_answered_in_place_of_those_about_content(policy):
    seen = rendered(ConsentForm(nature="service")).select_one("[type=hidden]")["value"]
    assert ConsentForm({**TICKED, "consent-seen": seen}, nature="service").is_valid()
    form = ConsentForm({**TICKED, "consent-seen": seen}, nature="content")
    assert not form.is_valid()
    assert "lose my right to withdraw" in form.wording.text
    with pytest.raises(ValueError):
        record_checkout_consent(form=form, purchase=buy(EBOOK), now=clock.now())
    assert not Consent.objects.exists()


@pytest.mark.parametrize("seen", ["", "forged", "eyJiZWdpbiI6IngifQ.AAAA"])
def test_a_wording_that_we_did_not_show_is_asked_again_and_nothing_is_recorded(policy, seen):
    form = ConsentForm(sent(**{"consent-seen": seen}))
    assert not form.is_valid() and rendered(form).select_one("[role=alert]")
    with pytest.raises(ValueError):
        record_checkout_consent(form=form, purchase=buy(EBOOK), now=clock.now())
    assert not Consent.objects.exists()
    again = rendered(form).select_one("[type=hidden]")["value"]
    assert ConsentForm({**TICKED, "consent-seen": again}).is_valid()


def test_an_unticked_box_is_recorded_as_such_unless_the_shop_insists(policy):
    data = sent()
    del data["consent-acknowledge"]
    purchase = buy(EBOOK)
    consent = record_checkout_consent(form=ConsentForm(data), purchase=purchase, now=clock.now())
    assert (consent.agreed_to_begin, consent.acknowledged) == (True, False)
    strict = ConsentForm(data, must_agree=True)
    assert list(strict.errors) == ["acknowledge"]
    box = rendered(strict).select_one("#id_consent-acknowledge")
    assert rendered(strict).select_one(f"#{box['aria-describedby']}").get_text()


def test_the_mail_with_the_wording_makes_it_proof_and_is_sent_once(policy, mailoutbox):
    purchase = buy(EBOOK)
    line = purchase.lines.get()
    for _n in range(2):
        record_checkout_consent(form=ConsentForm(sent()), purchase=purchase, now=clock.now())
    assert consents_of([line.pk]) == {line.pk: False}
    deliver_due()
    deliver_due()
    [mail] = mailoutbox
    assert mail.to == ["ada@example.com"] and purchase.number in mail.subject
    for text in (mail.body, mail.alternatives[0][0]):
        assert "I know that I lose my right to withdraw when I begin to use it." in text and "/refunds/withdraw/" in text
    assert ConsentConfirmation.objects.get().confirmed_at == Message.objects.get(kind="consent_confirmation").sent_at
    assert consents_of([line.pk]) == {line.pk: True}


def test_the_mail_leads_to_where_the_store_s_own_site_takes_withdrawals(policy, mailoutbox, settings):
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | {"PUBLIC_URL": "https://first.example"}
    locale, _made = Locale.objects.get_or_create(language_code="en")
    root = Page.objects.filter(depth=1).first() or Page.add_root(title="Root", slug="root", locale=locale)
    site = Site.objects.create(hostname="second.example", port=443, root_page=root)
    purchase = buy(EBOOK)
    for owned_site in (None, site.pk):
        Store.objects.filter(pk=purchase.store_id).update(wagtail_site_id=owned_site)
        record_checkout_consent(form=ConsentForm(sent()), purchase=purchase, now=clock.now())
        deliver_due()
        purchase = buy(EBOOK)
    first, second = mailoutbox
    assert "https://first.example/refunds/withdraw/" in first.body
    assert "https://second.example/refunds/withdraw/" in second.body


def test_while_the_mail_server_takes_nothing_nothing_is_proven(policy, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route")

    purchase = buy(EBOOK)
    record_checkout_consent(form=ConsentForm(sent()), purchase=purchase, now=clock.now())
    monkeypatch.setattr("refund_plugin.messaging.services._send", refuse)
    deliver_due()
    assert not ConsentConfirmation.objects.exists()


def test_asked_about_one_line_the_others_are_not_agreed_to(policy):
    purchase = buy(EBOOK, COURSE)
    book, course = purchase.lines.all()
    record_checkout_consent(form=ConsentForm(sent()), purchase=purchase, line=book, now=clock.now())
    deliver_due()
    assert consents_of([book.pk])[book.pk] is True and consents_of([course.pk])[course.pk] is not True


def test_a_service_is_asked_about_in_its_own_words():
    assert "I pay for what was provided" in rendered(ConsentForm(nature="service")).get_text()
