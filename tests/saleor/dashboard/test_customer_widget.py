"""The panel beside a customer: sums, shares and what is worth knowing, in one store."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from refund_plugin import clock
from refund_plugin.money import Money
from refund_plugin.refunds.models import Dispute
from refund_plugin.saleor_app.people import Sums
from refund_plugin.stores.models import Store
from tests.factories import EBOOK, LICENCE, make_purchase
from tests.saleor.dashboard.conftest import CUSTOMER, OTHER_API, OTHER_KEY, Panel, install, token


def panel(**changes: object) -> Panel:
    """Open the panel beside the customer."""
    return Panel.open("saleor_customer_widget", **({"orderId": None, "customerId": CUSTOMER} | changes))


def figures(page: Panel) -> dict[str, str]:
    """Return the sums by their label."""
    return {each.dt.get_text(): each.dd.get_text() for each in page.soup.select(".figures > div")}


def test_the_panel_sums_what_was_paid_and_what_went_back(ask, buy):
    request = ask(wants_person=False, to_review=False)  # the font is declined, so the policy sends the rest
    buy(LICENCE, order="second")
    page = panel()
    assert "Asked for a refund once" in page.text and "2 paid purchases" in page.text and "money went back for one" in page.text
    assert figures(page) == {"Paid": "€81.07", "Refunded": "€0.00", "On its way": "€48.07", "Share": "59 %"}
    assert request.reference in page.soup.select_one(".card").get_text()


def test_a_dispute_and_a_declined_request_are_worth_knowing(ask, buy, purchase, gateway):
    declined = ask(buy(EBOOK, order="second", days_ago=60), wants_person=False, to_review=False)
    payment = purchase.payments.get()
    for kind, outcome, name in (("formal", "lost", "dp_1"), ("formal", "", "dp_2"), ("inquiry", "", "dp_3")):
        Dispute.objects.create(
            store=purchase.store,
            payment=payment,
            account=payment.account,
            livemode=payment.livemode,
            gateway_dispute_id=name,
            kind=kind,
            outcome=outcome,
            status="needs_response",
            currency="EUR",
            opened_at=clock.now(),
            told_at=clock.now(),
        )
    page = panel()
    assert declined.state == "declined"
    assert "2 payments were disputed with the bank; one was lost." in page.text
    assert "A bank asked or warned about one payment." in page.text and "One request was declined." in page.text


def test_a_customer_without_purchases_and_one_of_another_saleor_read_the_same(purchase):
    install(OTHER_API, slug="other", key=OTHER_KEY)
    unknown = panel(customerId="VXNlcjo5")
    foreign = panel(saleorApiUrl=OTHER_API, accessToken=token(api_url=OTHER_API, key=OTHER_KEY))
    assert unknown.response.status_code == foreign.response.status_code == 200
    assert unknown.text == foreign.text and "No purchases yet" in unknown.text


def test_purchases_of_the_same_address_in_another_store_do_not_count(ask, purchase):
    other = Store.objects.create(slug="elsewhere", name="Elsewhere", timezone="UTC")
    make_purchase(store=other, purchased_at=clock.now() - timedelta(days=3), email=purchase.customer.email)
    assert "One paid purchase" in panel().text


def test_a_case_opens_from_the_customer_and_leads_back(ask):
    request = ask()
    case = panel().press(request.reference)
    assert "Chapter 3 is empty." in case.text
    assert "Asked for a refund once" in case.press("←").text


def test_the_panel_asks_the_database_as_often_for_many_as_for_one(ask, buy, django_assert_num_queries):
    ask()
    with django_assert_num_queries(12):
        panel()
    for number in range(3):
        ask(buy(EBOOK, LICENCE, order=f"order-{number}"))
    with django_assert_num_queries(12):
        panel()


@given(paid=st.integers(1, 10**12), back=st.integers(0, 10**12), on_its_way=st.integers(0, 10**12))
def test_the_share_is_that_of_what_left_or_is_about_to(paid, back, on_its_way):
    sums = Sums(Money(paid, "EUR"), Money(back, "EUR"), Money(on_its_way, "EUR"), Money(0, "EUR"))
    assert abs(sums.percent * paid - 100 * (back + on_its_way)) <= paid
