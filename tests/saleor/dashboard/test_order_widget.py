"""The panel beside an order: what it says, and the steps that start a refund."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from refund_plugin.refunds.models import Refund, RefundRequest
from tests.saleor.dashboard.conftest import Panel, everything, token


def test_the_panel_says_per_line_what_comes_back_and_links_the_clause_that_says_so(purchase):
    panel = Panel.open()
    assert panel.response.status_code == 200
    assert "Up to" not in panel.text
    lines = panel.soup.select(".line")
    assert [line.h3.get_text() for line in lines] == [line.name for line in purchase.lines.all()]
    assert [line.select_one(".amount").get_text() for line in lines] == ["€18.20", "€29.87", "€0.00"]
    assert lines[0].select_one("p a")["href"].endswith("#unused")
    assert lines[2].select_one(".tag").get_text() == "Not refundable"


def test_a_refund_starts_in_three_steps_and_is_made_by_the_person_of_the_dashboard(purchase, gateway):
    chosen = Panel.open().press("Start a refund")
    assert len(chosen.soup.select("input[name=line][checked]")) == 2
    asked = chosen.press("Continue", reason="bought_twice", message="Bought it again by mistake.")
    assert "Send €48.07 back?" in asked.text and "Visa •••• 4242" in asked.text
    assert everything() == ([], 0, 0)
    done = asked.press("Send €48.07 back")
    made = RefundRequest.objects.get()
    assert f"Request {made.reference} is made." in done.text
    assert (made.state, made.channel, made.reason, made.message) == ("approved", "saleor", "bought_twice", "Bought it again by mistake.")
    assert [refund.amount_minor for refund in Refund.objects.all()] == [4807]
    submitted = made.store.refund_requests.get().decisions.get()
    assert submitted.actor_kind == "engine"


def test_a_double_click_pays_once(purchase):
    asked = Panel.open().press("Start a refund").press("Continue", reason="other")
    first, second = asked.press("Send €48.07 back"), asked.press("Send €48.07 back")
    assert first.response.status_code == second.response.status_code == 200
    assert RefundRequest.objects.count() == 1 and Refund.objects.count() == 1
    assert f"Request {RefundRequest.objects.get().reference} is made." in second.text


def test_what_the_policy_declines_waits_for_a_decision_and_no_money_moves(purchase):
    chosen = Panel.open().press("Start a refund")
    font = purchase.lines.get(sku="SALE-1").pk
    asked = chosen.press("Continue", line=[str(font)], reason="other")
    assert "Ask a person to decide?" in asked.text
    done = asked.press("Make the request")
    assert RefundRequest.objects.get().state == "in_review" and not Refund.objects.exists()
    case = done.press("Decide it now")
    assert "The policy gives nothing by itself" in case.text


def test_nothing_chosen_is_said_above_the_form_and_what_was_typed_stays(purchase):
    panel = Panel.open().press("Start a refund").press("Continue", line=None, reason="other", message="He called.")
    assert panel.response.status_code == 422
    assert "Choose at least one thing to refund." in panel.soup.select_one("[role=alert]").get_text()
    assert panel.soup.select_one("textarea").get_text() == "He called."


def test_without_the_permission_to_handle_payments_one_may_look_and_a_forged_step_changes_nothing(purchase):
    looker = token(permissions=("MANAGE_ORDERS",))
    panel = Panel.open(accessToken=looker)
    assert "Start a refund" not in panel.text and "Handle payments" in panel.text
    full = Panel.open().press("Start a refund").press("Continue", reason="other")
    refused = full.press("Send €48.07 back", accessToken=looker)
    assert refused.response.status_code == 403 and "Handle payments" in refused.text
    assert everything() == ([], 0, 0)


def test_what_changed_since_the_page_was_read_is_said_before_anything_is_sent(purchase):
    asked = Panel.open().press("Start a refund").press("Continue", reason="other")
    Panel.open().press("Start a refund").press("Continue", reason="other").press("Send €48.07 back")
    late = asked.press("Send €48.07 back", key="another")
    assert late.response.status_code == 422
    assert RefundRequest.objects.count() == 1


def test_an_order_that_was_not_read_yet_says_so(purchase):
    panel = Panel.open(orderId="T3JkZXI6OTk=")
    assert panel.response.status_code == 200 and "We do not know this order yet" in panel.text


def test_the_panel_shows_what_was_asked_with_its_timeline_and_leads_to_the_case(ask):
    request = ask()
    panel = Panel.open()
    card = panel.soup.select_one(".card")
    assert request.reference in card.get_text() and "Waits for a decision" in card.get_text()
    assert "Asked for a refund" in card.select_one(".steps").get_text()
    assert "Chapter 3 is empty." in panel.press(request.reference).text


def test_the_panel_asks_the_database_a_fixed_number_of_times(ask, buy, django_assert_num_queries):
    ask()
    url, data = reverse("refund_plugin:saleor_order_widget"), {}
    panel = Panel.open()
    _url, data = panel.sent_by(panel.soup.select_one(".actions button"))
    with django_assert_num_queries(16):
        Client().post(url, data | {"step": ""})
