"""Who may look: a token of this Saleor's dashboard, or a ticket of ours while it lasts; everything else reads the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.test import Client
from django.urls import reverse
from django.views.debug import SafeExceptionReporterFilter

from refund_plugin import clock
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor_app.widgets import order_widget
from tests.saleor.dashboard.conftest import API, APP, KEY, OTHER_API, OTHER_KEY, Panel, everything, install, opening, token

ORDER_WIDGET = "/refunds/saleor/widgets/order/"
PAGES = ("saleor_order_widget", "saleor_customer_widget", "saleor_app", "saleor_case")


def wrong_tokens() -> dict[str, str]:
    """Return tokens that must not open anything."""
    claims = {"iss": API, "app": APP, "user_id": "u", "email": "e@x.example", "user_permissions": ["MANAGE_ORDERS"], "exp": 9999999999}
    return {
        "another key": token(key=OTHER_KEY),
        "another Saleor": token(api_url=OTHER_API),
        "another App": token(app="QXBwOjI="),
        "over": token(exp=clock.now() - timedelta(seconds=1)),
        "a customer's": token(type="access"),
        "HMAC": jwt.encode(claims, "secret" * 8, algorithm="HS256", headers={"kid": "one"}),
        "no signature": jwt.encode(claims, None, algorithm="none", headers={"kid": "one"}),
        "no token": "nonsense",
        "nobody": token(user_id=""),
    }


@pytest.mark.parametrize("kind", wrong_tokens())
def test_a_wrong_token_opens_nothing_and_every_one_reads_the_same(purchase, kind):
    panel = Panel.open(accessToken=wrong_tokens()[kind])
    assert panel.response.status_code == 403
    assert "Reload this page in Saleor" in panel.text
    assert "EBOOK" not in panel.text and purchase.number not in panel.text


@pytest.mark.parametrize("page", PAGES)
def test_without_token_and_ticket_no_page_opens(purchase, page):
    panel = Panel.open(page, accessToken=None, customerId="x")
    assert panel.response.status_code == 403 and purchase.number not in panel.text


def test_a_saleor_that_is_unknown_or_has_removed_the_app_gets_the_same_answer(purchase, installation):
    unknown = Panel.open(saleorApiUrl="https://unknown.example/graphql/")
    SaleorInstallation.objects.filter(pk=installation.pk).update(is_active=False)
    removed = Panel.open()
    assert unknown.response.status_code == removed.response.status_code == 403
    assert unknown.text == removed.text
    assert "frame-ancestors 'none'" in removed.response.headers["Content-Security-Policy"]


def test_the_permission_that_is_missing_is_named(purchase):
    panel = Panel.open(accessToken=token(permissions=("MANAGE_PRODUCTS",)))
    assert panel.response.status_code == 403 and "Manage orders" in panel.text and purchase.number not in panel.text


def test_an_order_of_another_saleor_reads_as_unknown(purchase, installation):
    install(OTHER_API, slug="other", key=OTHER_KEY)
    panel = Panel.open(saleorApiUrl=OTHER_API, accessToken=token(api_url=OTHER_API, key=OTHER_KEY))
    assert "We do not know this order yet" in panel.text and purchase.number not in panel.text


def test_a_case_of_another_saleor_or_another_order_reads_as_unknown(ask, buy, installation):
    install(OTHER_API, slug="other", key=OTHER_KEY)
    case = str(ask().pk)
    foreign = Panel.open(
        "saleor_case", saleorApiUrl=OTHER_API, accessToken=token(api_url=OTHER_API, key=OTHER_KEY), orderId=None, case=case
    )
    beside = Panel.open("saleor_case", orderId="T3JkZXI6OTk=", case=case)
    nonsense = Panel.open("saleor_case", case="1")
    assert [panel.response.status_code for panel in (foreign, beside, nonsense)] == [404, 404, 404]
    assert Panel.open("saleor_case", case=case).response.status_code == 200


def ticket_of(panel: Panel) -> dict[str, Any]:
    """Return the hidden fields of a page's first form."""
    return {field["name"]: field["value"] for field in panel.soup.select_one("form").select("input[type=hidden]")}


def test_a_ticket_opens_the_same_object_without_a_token_and_no_other(purchase):
    fields = ticket_of(Panel.open())
    assert "accessToken" not in fields
    assert Client().post(ORDER_WIDGET, fields).status_code == 200
    for other in ({"orderId": "T3JkZXI6Mg=="}, {"saleorApiUrl": OTHER_API}, {"ticket": fields["ticket"][:-2] + "xx"}, {"ticket": ""}):
        assert Client().post(ORDER_WIDGET, fields | other).status_code == 403
    desk = {"ticket": fields["ticket"], "saleorApiUrl": API}
    assert Client().post(reverse("refund_plugin:saleor_app"), desk).status_code == 403


def test_a_ticket_ends_with_the_token_it_was_given_for(purchase, monkeypatch):
    fields = ticket_of(Panel.open())
    later = clock.now() + timedelta(minutes=5)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert Client().post(ORDER_WIDGET, fields).status_code == 403


def test_a_ticket_of_someone_who_may_only_look_starts_no_refund(ask):
    case = ask()
    looking = Panel.open(accessToken=token(permissions=("MANAGE_ORDERS",)))
    before = everything()
    sent = {"step": "send", "key": "k", "reason": "other", "line": str(case.purchase.lines.first().pk)}
    refused = Client().post(ORDER_WIDGET, ticket_of(looking) | sent)
    assert refused.status_code == 403 and "Handle payments" in refused.content.decode()
    assert everything() == before


def test_a_fresh_token_of_the_dashboard_takes_the_place_of_a_ticket_that_is_over(purchase):
    fields = ticket_of(Panel.open()) | {"ticket": "over", "accessToken": token()}
    assert Client().post(ORDER_WIDGET, fields).status_code == 200


def test_opening_an_address_shows_nothing_of_the_store_and_changes_nothing(purchase):
    response = Client().get(ORDER_WIDGET, {"saleorApiUrl": API, "orderId": "T3JkZXI6MQ==", "theme": "dark", "accessToken": token()})
    assert response.status_code == 200
    page = response.content.decode()
    assert purchase.number not in page and 'data-theme="dark"' in page and 'name="accessToken" value=""' in page
    assert Client().get(ORDER_WIDGET).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_only_the_dashboard_may_frame_a_page_no_script_stands_in_it_and_no_cookie_is_set(ask, page):
    response = Panel.open(page, customerId="VXNlcjo3", case=str(ask().pk)).response
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors https://dashboard.example" in policy and "unsafe" not in policy and "form-action 'self'" in policy
    assert "X-Frame-Options" not in response.headers
    assert response.headers["Cache-Control"].startswith("max-age=0") and "no-store" in response.headers["Cache-Control"]
    assert not response.cookies
    page_text = response.content.decode()
    assert "<style" not in page_text and " style=" not in page_text and "onclick" not in page_text
    assert page_text.count("<script") == 1


def test_a_page_needs_no_csrf_token_because_what_it_carries_proves_who_sent_it(purchase):
    assert Client(enforce_csrf_checks=True).post(ORDER_WIDGET, opening()).status_code == 200


@pytest.mark.parametrize("field", ["orderId", "saleorApiUrl", "ticket", "theme", "step"])
def test_a_nul_or_an_endless_value_is_refused_and_breaks_nothing(purchase, field):
    for value in ("\x00", "https://x.example/\x00", "x" * 10_000):
        assert Client().post(ORDER_WIDGET, opening(**{field: value})).status_code in (200, 403)


def test_a_body_that_is_too_large_is_not_read(purchase):
    assert Client().post(ORDER_WIDGET, opening(message="x" * 300_000)).status_code == 413


def test_a_token_is_never_shown_again(purchase):
    given = token()
    panel = Panel.open(accessToken=given)
    assert given not in panel.response.content.decode()
    assert jwt.decode(given, KEY.public_key(), algorithms=["RS256"])["user_id"]


def test_the_report_of_an_error_names_neither_token_nor_ticket(purchase, rf, settings):
    settings.DEBUG = False
    request = rf.post(ORDER_WIDGET, opening(ticket="t" * 20))
    order_widget(request)
    reported = SafeExceptionReporterFilter().get_post_parameters(request)
    assert reported["orderId"] == opening()["orderId"]
    assert {reported["accessToken"], reported["ticket"]} == {SafeExceptionReporterFilter.cleansed_substitute}


def test_a_length_that_is_no_number_is_no_error(purchase, rf):
    request = rf.post(ORDER_WIDGET, opening())
    request.META["CONTENT_LENGTH"] = "plenty"
    assert order_widget(request).status_code in (200, 403)
