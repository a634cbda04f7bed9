"""A voucher or a gift card besides any refund, given in Saleor's dashboard and issued by Saleor: once, whatever answer gets lost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from refund_plugin import clock
from refund_plugin.refunds.incentives.models import Incentive
from refund_plugin.refunds.incentives.services import issue_due
from refund_plugin.saleor_app.manifest import manifest_for
from tests.saleor.dashboard.test_store_credit import case, open_case, sent_money  # noqa: F401  # fixture
from tests.saleor.standin.traps import Fault

MAY = {"voucher": "MANAGE_DISCOUNTS", "gift_card": "MANAGE_GIFT_CARD"}
BUTTON = {"voucher": "Give a voucher", "gift_card": "Give a gift card"}


@pytest.fixture
def kind() -> str:
    """What is given."""
    return "voucher"


@pytest.fixture
def saleor_options(kind: str) -> dict[str, Any]:
    """The option in the settings."""
    return {"incentive": kind}


@pytest.fixture
def page(case, installed, saleor, kind):  # noqa: F811
    """The case, opened by someone who may see orders and give this, but send no money."""
    return open_case(case, installed, saleor, "MANAGE_ORDERS", MAY[kind])


def give(page, **changes):
    values = {"worth": "5.00", "days": "30", "reason": "Waited long.", "message": "Sorry!"}
    return page.press("Give it and tell the customer", **{**values, **changes})


def later():
    return clock.travel(timedelta(hours=2))


def test_a_voucher_of_an_amount_is_good_for_one_order_in_the_orders_channel_until_its_day(page, saleor):
    done = give(page)
    (voucher,) = saleor.world.vouchers.values()
    given = Incentive.objects.get()
    assert "the customer of" in done.text and voucher.codes == [given.code]
    assert voucher.values["discountValueType"] == "FIXED"
    assert (voucher.values["singleUse"], voucher.values["usageLimit"]) == (True, 1)
    assert voucher.values["endDate"] == given.ends_at
    (listing,) = voucher.listings.values()
    assert Decimal(str(listing["discountValue"])) == Decimal("5.00")
    assert sent_money() == 0


def test_a_voucher_of_percent_is_issued_as_such(page, saleor):
    give(page, worth="15", unit="percent")
    (voucher,) = saleor.world.vouchers.values()
    (listing,) = voucher.listings.values()
    assert voucher.values["discountValueType"] == "PERCENTAGE" and Decimal(str(listing["discountValue"])) == 15


@pytest.mark.parametrize("kind", ["gift_card"])
def test_a_gift_card_is_issued_for_the_customer_until_its_day(page, saleor):
    assert "percent" not in page.text
    give(page)
    (card,) = saleor.world.gift_cards.values()
    given = Incentive.objects.get()
    assert card.code == given.code and card.current.amount == Decimal("5.00")
    assert card.values["expiryDate"] == given.ends_at.astimezone(ZoneInfo(given.store.timezone)).date()
    if saleor.api_version == "3.23":
        assert card.assigned_to.email == "ada@example.com"


@pytest.mark.parametrize("operation", ["VoucherCreate", "VoucherChannelListingUpdate"])
@pytest.mark.parametrize("executed", [False, True])
def test_an_answer_that_is_lost_leaves_one_voucher_that_is_good(page, saleor, operation, executed):
    saleor.traps.add(Fault("drop", operation=operation, executed=executed))
    assert "asked again by itself" in give(page).text
    with later():
        issue_due(clock.now())
    (voucher,) = saleor.world.vouchers.values()
    assert voucher.codes == [Incentive.objects.get().code] and len(voucher.listings) == 1
    assert Incentive.objects.get().state == "issued"


def test_a_double_click_gives_one(page, saleor):
    give(page), give(page)
    assert len(saleor.world.vouchers) == Incentive.objects.count() == 1


def test_a_permission_that_was_taken_away_is_named_and_the_wish_can_be_taken_back(page, installed, saleor):
    installed.app.permissions.remove("MANAGE_DISCOUNTS")
    done = give(page)
    assert "MANAGE_DISCOUNTS" in done.text and not saleor.world.vouchers
    assert "It is taken back" in done.press("Take it back").text
    with later():
        assert issue_due(clock.now()) == 0
    assert Incentive.objects.get().state == "canceled"


def test_what_was_typed_stays_beside_what_is_wrong_with_it(page, saleor):
    done = give(page, worth="5000", reason="Because.")
    assert "Give an amount above zero, up to" in done.text and "Because." in done.text
    assert not Incentive.objects.exists() and not saleor.world.vouchers


@pytest.mark.parametrize("worth", ["", "abc", "1e9999", "٥x"])
def test_a_worth_that_is_no_number_gives_nothing(page, saleor, worth):
    assert give(page, worth=worth).response.status_code in (200, 422)
    assert not Incentive.objects.exists() and not saleor.world.vouchers


def test_without_the_persons_own_permission_nothing_is_offered_and_a_forged_form_gives_nothing(case, installed, saleor, page):  # noqa: F811
    plain = open_case(case, installed, saleor, "MANAGE_ORDERS", "HANDLE_PAYMENTS", "MANAGE_PRODUCTS")
    assert "Give a voucher" not in plain.text
    url, fields = page.sent_by(page.soup.select_one("button[value=give]"))
    own = {"ticket": plain.soup.select_one("input[name=ticket]")["value"], "worth": "5", "reason": "x"}
    assert "not allowed" in Client().post(url, fields | own).content.decode()
    assert not Incentive.objects.exists() and not saleor.world.vouchers


def test_the_manifest_asks_for_the_permission_once(settings):
    settings.REFUND_PLUGIN = {"SALEOR": {"https://a.example/graphql/": {"incentive": "voucher", "store_credit": "voucher"}}}
    assert manifest_for("https://site.example")["permissions"] == ["MANAGE_ORDERS", "HANDLE_PAYMENTS", "MANAGE_DISCOUNTS"]
