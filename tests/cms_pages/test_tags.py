"""Badges, links and structured data that a host's own templates show."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from wagtail.models import Page, Site

from cms_pages.policy_pages import KEPT_FOR, forget_addresses
from refund_plugin import clock
from refund_plugin.policies.services import freeze_policy
from refund_plugin.rules import MoneyBack, PolicyDocument, dump_document
from refund_plugin.stores.models import Store
from tests.cms_pages.examples import EMPTY_SELECTOR, document_at, guarantee, publish, refused
from tests.cms_pages.test_reading import rendered

pytestmark = pytest.mark.django_db

EVERYTHING = {"selector": EMPTY_SELECTOR}


def block(kind: str, **values: Any) -> dict[str, Any]:
    return {"type": kind, "value": {"title": "", "selector": EMPTY_SELECTOR, "anchor": "", **values}}


def badge(source: str = "", **context: Any) -> str:
    return re.sub(r"<[^>]+>", "", rendered("{% refund_badge " + source + " %}", **context)).strip()


def structured(source: str = "", **context: Any) -> dict[str, Any]:
    html = rendered("{% refund_structured_data " + source + " %}", **context)
    found: dict[str, Any] = json.loads(re.fullmatch(r'<script type="application/ld\+json">(.*)</script>', html)[1])  # type: ignore[index]
    return found


# -- badges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clause", "told", "tag"),
    [
        (guarantee(30), "30-day guarantee", "yes"),
        (guarantee(30, title="Our promise"), "30-day guarantee", "yes"),
        (guarantee(30, percent=50), "50% back for 30 days", "part"),
        (guarantee(30, outcome="review"), "30-day guarantee, after a person has looked", "wait"),
        (
            block("unused_only", window_days=14, percent=100, outcome="approve"),
            "Refundable for 14 days, until you open it",
            "yes",
        ),
        (
            block("unused_only", window_days=14, percent=100, outcome="approve", max_downloads=2),
            "Refundable for 14 days while unused",
            "yes",
        ),
        (block("pro_rated", by="day", percent=100, outcome="approve"), "Money back for what you have not used", "part"),
        (refused(**EVERYTHING), "Not refundable: It was sold at a final discount.", "no"),
        (block("statutory_withdrawal", window_days=14), "14 days to withdraw", "yes"),
        (block("goodwill", percent=100), "", ""),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else None,
)
def test_a_product_says_in_a_few_words_what_it_carries(make_page, clause, told, tag):
    make_page(clause)
    assert badge() == told
    assert (f'class="refund-badge is-{tag}"' in rendered("{% refund_badge %}")) is bool(told)


def test_the_badge_is_of_the_first_clause_that_is_about_the_product_and_no_rare_case(make_page):
    ebooks = {**EMPTY_SELECTOR, "product_types": "ebook"}
    page = make_page(block("defective", window_days=730), refused(), guarantee(60, selector=ebooks, anchor="books"), guarantee(30))
    assert badge('product_type="ebook"') == "60-day guarantee"
    assert f'href="{page.url}#books"' in rendered('{% refund_badge product_type="ebook" %}')
    assert "<a" not in rendered('{% refund_badge product_type="ebook" link=False %}')
    assert badge('product_type="course"') == "30-day guarantee"
    assert badge("tags=tags", tags=["new", "final-sale"]) == "Not refundable: It was sold at a final discount."
    assert badge('tags="new, final-sale"') == "Not refundable: It was sold at a final discount."


def test_a_guarantee_that_asks_for_more_does_not_promise_more_than_it_gives(make_page):
    rule = {"fact": "earlier_purchase", "compare": "at_most", "number": 0}
    make_page(guarantee(30, requires=[rule]))
    assert badge() == "30-day guarantee, on conditions"


NOTE = 'title="Except where the law gives you more."'


@pytest.mark.parametrize(("country", "elsewhere", "noted"), [("DE", "", True), ("", "", True), ("US", "", False), ("US", "eu", True)])
def test_a_badge_that_refuses_leaves_room_for_what_the_law_of_the_country_gives(make_page, settings, country, elsewhere, noted):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "FLOOR_ELSEWHERE": elsewhere}
    make_page(refused(), guarantee(30))
    source = f'{{% refund_badge tags="final-sale" country="{country}" %}}'
    assert (NOTE in rendered(source)) is noted
    # the few words themselves stay as they are, and who gets money back needs no exception
    assert badge(f'tags="final-sale" country="{country}"') == "Not refundable: It was sold at a final discount."
    assert NOTE not in rendered(f'{{% refund_badge country="{country}" %}}')


def test_the_badge_changes_at_once_when_the_policy_is_published(make_page):
    assert badge() == ""
    page = make_page(guarantee(14))
    assert badge() == "14-day guarantee"
    page = publish(page, guarantee(30))
    assert badge() == "30-day guarantee"
    page.unpublish()
    assert badge() == ""


def test_the_reason_that_an_editor_writes_is_escaped(make_page):
    make_page(refused(reason="<b>x</b> {{ y }} %(z)s", **EVERYTHING))
    assert "Not refundable: &lt;b&gt;x&lt;/b&gt; {{ y }} %(z)s" in rendered("{% refund_badge %}")


def test_what_is_not_refundable_still_shows_the_way_on_when_it_does_not_work(make_page):
    make_page(refused(**EVERYTHING))
    assert "If it does not work" in rendered("{% refund_checkout_summary %}")


def test_the_link_leads_to_the_policy_and_is_not_there_without_one(make_page):
    assert rendered("{% refund_policy_link %}").strip() == ""
    page = make_page(guarantee(14))
    assert f'href="{page.url}"' in rendered("{% refund_policy_link %}")


# -- what it costs ----------------------------------------------------------------------------------------------------


def site_request(path: str = "/") -> Any:
    """A request for which Wagtail has found the site, as it has on each of its pages."""
    request = RequestFactory().get(path, headers={"host": "testserver"})
    Site.find_for_request(request)
    return request


def test_a_page_with_footer_badges_and_structured_data_costs_two_queries(make_page, django_assert_num_queries):
    make_page(refused(), guarantee(14), intro="Words.")
    source = (
        "{% load refund_policy %}{% for sku in skus %}{% refund_badge sku=sku %}{% refund_checkout_summary sku=sku %}{% endfor %}"
        "{% refund_structured_data %}{% refund_policy_link %}{% refund_policy_summary %}"
    )
    template, skus = Template(source), [f"E-{number}" for number in range(20)]
    template.render(Context({"request": site_request(), "skus": skus}))
    forget_addresses()
    request = site_request()
    with django_assert_num_queries(2):
        shown = template.render(Context({"request": request, "skus": skus}))
    assert shown.count("14-day guarantee") >= 20


def test_the_footer_costs_two_queries_and_one_while_the_address_is_fresh(make_page, django_assert_num_queries):
    page = make_page(refused(), guarantee(14))
    template = Template("{% load refund_policy %}{% refund_policy_summary %}")
    template.render(Context({"request": site_request()}))
    forget_addresses()
    for queries in (2, 1):
        request = site_request()
        with django_assert_num_queries(queries):
            shown = template.render(Context({"request": request}))
        assert "14 days" in shown
        assert f'href="{page.url}#money-back"' in shown


def test_an_address_is_looked_up_again_after_a_moment_while_words_are_never_kept(make_page, monkeypatch):
    page = make_page(guarantee(14))
    assert page.url in rendered("{% refund_policy_link %}")
    # as another process does it: nothing tells this one
    now = clock.now()
    type(page).objects.filter(pk=page.pk).update(url_path=page.url_path.replace("refund-policy", "moved"))
    document = dump_document(PolicyDocument((MoneyBack(anchor="money-back", window_days=30),)))
    freeze_policy(key=page.policy_key, title="x", document=document, now=now)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=1))
    assert badge() == "30-day guarantee"
    monkeypatch.setattr(clock, "now", lambda: now + KEPT_FOR + timedelta(seconds=1))
    assert "/moved/" in rendered("{% refund_policy_link %}")


def test_a_page_that_moves_is_linked_at_its_new_place_at_once(make_page, home, django_capture_on_commit_callbacks):
    page = make_page(guarantee(14))
    assert page.url in rendered("{% refund_policy_link %}")
    page.slug = "terms"
    page.save()
    assert "/terms/" in rendered("{% refund_policy_link %}")
    above = home.add_child(instance=Page(title="Help", slug="help", locale=home.locale))
    page.move(above, pos="last-child")
    assert "/help/terms/" in rendered("{% refund_policy_link %}")
    above.refresh_from_db()
    above.slug = "service"
    with django_capture_on_commit_callbacks(execute=True):  # that is when Wagtail tells it
        above.save_revision().publish()
    assert "/service/terms/" in rendered("{% refund_policy_link %}")


# -- several sites ----------------------------------------------------------------------------------------------------


def test_each_site_shows_the_policy_of_its_own_shop(make_page, home, store):
    other_home = home.get_parent().add_child(instance=Page(title="Other", slug="other", locale=home.locale))
    other_site = Site.objects.create(hostname="other.example", root_page=other_home)
    other_store = Store.objects.create(slug="other", name="Other shop", timezone="UTC", wagtail_site_id=other_site.pk)
    make_page(guarantee(30))
    template = Template("{% load refund_policy %}{% refund_badge %}")

    def badge_on(host: str) -> str:
        request = RequestFactory().get("/", headers={"host": host})
        return re.sub(r"<[^>]+>", "", template.render(Context({"request": request}))).strip()

    # the other shop has no policy yet: it must not show this one's
    assert (badge_on("testserver"), badge_on("other.example")) == ("30-day guarantee", "")
    page = type(make_page(guarantee(1), slug="unused"))(title="Refunds", slug="refunds", clauses=[guarantee(7)])
    other_home.add_child(instance=page)
    assert (badge_on("testserver"), badge_on("other.example")) == ("30-day guarantee", "7-day guarantee")
    # and what each sells is judged by its own, also after the other has published again
    sold = clock.now()
    publish(page, guarantee(3))
    assert [document_at(shop, sold).clauses[0].window_days for shop in (store, other_store)] == [30, 7]  # type: ignore[union-attr,attr-defined]
    assert document_at(other_store).clauses[0].window_days == 3  # type: ignore[union-attr,attr-defined]


# -- structured data --------------------------------------------------------------------------------------------------

SCHEMA = "https://schema.org/"


def test_a_guarantee_is_told_to_search_engines(make_page):
    page = make_page(block("defective", window_days=730), guarantee(30))
    assert structured('sku="E 1" country="DE"') == {
        "@context": "https://schema.org",
        "@type": "MerchantReturnPolicy",
        "@id": f"http://testserver{page.url}#return-policy-E%201",
        "merchantReturnLink": f"http://testserver{page.url}",
        "applicableCountry": ["DE"],
        "name": "30-day guarantee",
        "description": "Ask within 30 days of buying, and you get everything back.",
        "returnPolicyCategory": f"{SCHEMA}MerchantReturnFiniteReturnWindow",
        "merchantReturnDays": 30,
        "refundType": f"{SCHEMA}FullRefund",
        "returnFees": f"{SCHEMA}FreeReturn",
        "itemDefectReturnFees": f"{SCHEMA}FreeReturn",
    }


def test_what_cannot_be_returned_says_so(make_page):
    make_page(refused(), guarantee(30))
    node = structured('tags="final-sale"')
    assert node["returnPolicyCategory"] == f"{SCHEMA}MerchantReturnNotPermitted"
    assert not node.keys() & {"merchantReturnDays", "refundType", "returnFees"}


@pytest.mark.parametrize(
    "clause",
    [
        guarantee(30, outcome="review"),
        guarantee(30, requires=[{"fact": "earlier_purchase", "compare": "at_most", "number": 0}]),
        block("pro_rated", by="day", percent=100, outcome="approve"),
        block("goodwill", percent=100),
    ],
    ids=["a person decides", "on conditions", "no window", "rare cases only"],
)
def test_what_schema_org_has_no_word_for_is_left_unspecified(make_page, clause):
    make_page(clause)
    node = structured()
    assert node["returnPolicyCategory"] == f"{SCHEMA}MerchantReturnUnspecified"
    assert not node.keys() & {"merchantReturnDays", "refundType", "returnFees"}


def test_a_part_of_the_price_is_no_full_refund_and_a_fee_is_told(make_page):
    page = make_page(guarantee(30, percent=50))
    assert "refundType" not in structured()
    rated = {"by": "day", "percent": 100, "outcome": "approve", "window_days": 90}
    publish(page, block("pro_rated", **rated, fee_minor=200, currency="EUR"))
    node = structured()
    assert (node["merchantReturnDays"], node["returnFees"]) == (90, f"{SCHEMA}RestockingFees")
    assert node["restockingFee"] == {"@type": "MonetaryAmount", "currency": "EUR", "value": "2.00"}


def test_no_text_of_an_editor_or_a_shop_can_end_the_data(make_page):
    make_page(refused(reason="</script><script>alert(1)</script> & \u2028 <!--", **EVERYTHING))
    html = rendered("{% refund_structured_data sku=sku %}", sku="</script>")
    assert html.count("<") == 2
    assert html.endswith("</script>")
    assert "\u2028" not in html
    assert structured()["name"] == "Not refundable: </script><script>alert(1)</script> & \u2028 <!--"


def test_the_policy_page_carries_the_data_while_the_shop_uses_its_policy(client, make_page):
    page = make_page(guarantee(30))
    unused = make_page(guarantee(7), slug="unused")
    assert '<script type="application/ld+json">{' in client.get(page.url).content.decode()
    assert "ld+json" not in client.get(unused.url).content.decode()


def test_a_preview_carries_no_data(make_page, rf):
    page = make_page(guarantee(30))
    assert "ld+json" not in page.make_preview_request().render().content.decode()
