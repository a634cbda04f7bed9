"""What editors read about a policy before they publish it: what the linter found, and what went to people."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from django.urls import reverse
from wagtail.models import Locale

from cms_pages.models import RefundPolicyPage
from refund_plugin import clock
from refund_plugin.policies.queries import policy_for_key
from refund_plugin.refunds.undecided import undecided_by_clause
from tests.cms_pages.examples import EMPTY_SELECTOR, FOREIGN, guarantee, later, publish, refused
from tests.cms_pages.test_editing import clauses_errors, form, post, preview
from tests.factories import COURSE, EBOOK, MEMORY, make_purchase
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db


def shown(client, page):
    return " ".join(unescape(client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()).split())


def test_a_policy_with_nothing_to_change_says_so(client, editor, make_page):
    assert "The checks found nothing to change" in shown(client, make_page(guarantee(30)))


def test_the_editor_reads_the_warnings_with_the_clause_they_are_about(client, editor, make_page):
    text = shown(client, make_page(guarantee(14, title="Short"), guarantee(30, title="Long")))
    assert "Worth a look" in text
    assert "Clause 2, “Long”:</b> Clause 1 gives the same within 14 days" in text


def test_a_draft_that_cannot_be_published_says_so_when_it_is_opened_again(client, editor, make_page):
    page = make_page(guarantee(14))
    post(client, page, form(page, guarantee(0)), action="action-save")
    assert "To put right before you publish" in shown(client, page)


def test_words_that_name_another_window_are_told(client, editor, make_page):
    page = make_page(guarantee(30, anchor="g"), prose={"g": {"body": "You have 14 days."}})
    assert "Your words say “14 days”, but the clause says 30" in shown(client, page)


def test_a_language_without_a_translation_is_told_until_it_is_published(client, editor, make_page, home):
    german = Locale.objects.get_or_create(language_code="de")[0]
    page = make_page(guarantee(30, anchor="g"), prose={"g": {"body": "We mean it."}})
    assert "no published translation into “de”" in shown(client, page)
    home.copy_for_translation(german)
    translation = page.copy_for_translation(german)
    publish(translation, prose={"g": {"body": ""}})
    text = shown(client, page)
    assert "no published translation" not in text
    assert "Words of this clause are missing in “de”" in text
    publish(RefundPolicyPage.objects.get(pk=translation.pk), prose={"g": {"body": "Ehrlich."}})
    assert "in “de”" not in shown(client, page)


def test_what_the_shop_sells_and_no_clause_is_about_is_named(client, editor, make_page):
    make_purchase(lines=[COURSE], purchased_at=later(days=-3))
    page = make_page(guarantee(30, selector={**EMPTY_SELECTOR, "product_types": "ebook"}))
    assert "no clause is about them, so a person decides: course" in shown(client, page)


@pytest.fixture
def asked(settings, make_page):
    """A customer asked for something that was bought under a policy whose first clause cannot be read."""
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | MEMORY
    page = make_page(FOREIGN, guarantee(30))
    request = ask(make_purchase(lines=[EBOOK, COURSE], purchased_at=clock.now()), now=clock.now())
    assert request.state == "in_review"
    return page, request


def test_a_clause_that_could_not_decide_is_told_with_how_often_why_and_where(client, editor, asked):
    page, request = asked
    text = shown(client, page)
    assert "Left to a person in the last 30 days, because something was not known" in text
    assert "Loyal customers:</b> The clause could not be read" in text
    assert "1 request." in text
    assert reverse("refund_cases:case", args=[request.pk]) in text


def test_an_editor_who_may_not_read_cases_reads_how_many_and_no_reference(client, asked, home, writer):
    page, request = asked
    text = shown(client, page)
    assert "1 request." in text
    assert request.reference not in text
    assert str(request.pk) not in text


def test_what_was_left_to_people_is_counted_by_line_and_request_and_forgotten_after_thirty_days(asked, django_assert_num_queries):
    policy = policy_for_key(asked[0].policy_key)
    with django_assert_num_queries(1):
        (each,) = undecided_by_clause(policy=policy, now=clock.now())
    assert (each.anchor, each.lines, each.requests, each.unknown) == ("loyal", 2, 1, {"understood"})
    assert undecided_by_clause(policy=policy, now=later(days=31)) == []


def test_the_fact_that_was_not_known_is_named(client, editor, settings, make_page, exams):
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | MEMORY
    rule = {"type": "item", "id": "1", "value": {"fact": "exams_taken", "compare": "at_most", "number": 0}}
    page = make_page(guarantee(30, title="Unused", requires=[rule]))
    ask(make_purchase(lines=[EBOOK], purchased_at=clock.now()), now=clock.now())
    assert "Unused:</b> Not known: Exams taken." in shown(client, page)


def test_wagtails_own_checks_look_for_the_remarks_in_the_preview(client, editor, make_page, home):
    page = make_page(guarantee(14), guarantee(30))
    rules = checks_of(client, page)
    assert {"refund-policy-error", "refund-policy-warning", "heading-order"} <= set(rules["options"]["runOnly"])
    assert "The policy deserves a second look" in str(rules["messages"])
    assert 'data-remark="refund-policy-warning"' in preview(client, page, form(page, guarantee(14), guarantee(30)))
    assert "refund-policy" not in str(checks_of(client, home))


def checks_of(client, page):
    text = client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()
    return json.loads(re.search(r'id="checker-axe-configuration" type="application/json">(.*?)</script>', text)[1])


# -- the words of editors are never a program -----------------------------------------------------------------------

CODE = "{{ 7|add:7 }}{% now 'Y' %}<script>alert(1)</script><b onclick=x>bold</b>"


def test_what_editors_write_is_shown_as_it_is_and_never_run(client, editor, make_page):
    page = make_page(
        refused(CODE, anchor="final", title=CODE[:40]), guarantee(30, anchor="g", title=CODE[-60:]), intro=CODE, prose={"g": {"body": CODE}}
    )
    for answer in (
        client.get(page.url),
        client.get(f"{page.url}versions/1/"),
        client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])),
    ):
        text = answer.content.decode()
        assert answer.status_code == 200
        assert "<script>alert" not in text
        assert "<b onclick" not in text
        assert "14{%" not in text
        assert "7|add:7 }}" in unescape(text)
        assert "{% now 'Y' %}" in unescape(text)


def test_too_many_clauses_are_refused_with_a_message_and_nothing_is_frozen(client, editor, make_page, windows_at, monkeypatch):
    monkeypatch.setattr("refund_plugin.rules.linting.MAX_CLAUSES", 2)
    page = make_page(guarantee(14))
    skus = [guarantee(30, selector={**EMPTY_SELECTOR, "skus": f"X-{number}"}) for number in range(3)]
    assert "at most 2 clauses; this one has 3" in clauses_errors(post(client, page, form(page, *skus)))
    assert windows_at() == [14]
