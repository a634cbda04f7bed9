"""Store credit instead of money: issued once, whatever answer gets lost, by who may, and never beside the money."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from refund_plugin.actor import Action, Actor, ActorKind, customer_actor
from refund_plugin.clock import now
from refund_plugin.errors import WrongState
from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.telling.models import StoreTelling
from refund_plugin.refunds.telling.services import _described
from refund_plugin.refunds.tracking import tracking_url
from refund_plugin.saleor.client import client_for
from refund_plugin.saleor.errors import SaleorError, SaleorPermissionDenied
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor_app.manifest import manifest_for
from refund_plugin.saleor_app.store_credit import can_be_credit, give_store_credit
from refund_plugin.stores.base import CreditKind, CreditTold, RefundStands
from refund_plugin.stores.models import Store
from refund_plugin.stores.saleor_credit import issue
from tests.factories import EBOOK, make_purchase, publish_policy
from tests.saleor.dashboard.conftest import Panel
from tests.saleor.standin.traps import Fault

MAY = frozenset({Action.VIEW_CASES, Action.APPROVE, Action.DECLINE, Action.PAY_BY_HAND})


@pytest.fixture
def kind() -> str:
    """What is given."""
    return "gift_card"


@pytest.fixture
def saleor_options(kind: str) -> dict[str, Any]:
    """The option in the settings."""
    return {"store_credit": kind}


@pytest.fixture
def case(installed: Any, saleor: Any) -> RefundRequest:
    """An e-book for 18.20 EUR that a customer with an account asks their money back for; a person decides."""
    _ledgers.clear()
    ensure_accounts()
    store = Store.objects.get(slug=installed.row.slug)
    publish_policy(store=store, now=now() - timedelta(days=365))
    purchase = make_purchase(lines=(EBOOK,), store=store, purchased_at=now() - timedelta(days=3))
    buyer = saleor.add_user("ada@example.com")
    channel = next(iter(saleor.world.channels.values()))
    purchase.channel, purchase.metadata = channel["slug"], {"saleor_order": "T3JkZXI6MQ==", "saleor_customer": buyer.id}
    purchase.save()
    return request_refund(
        purchase_id=purchase.pk,
        lines={line.pk: 1 for line in purchase.lines.all()},
        reason="other",
        to_review=True,
        by=customer_actor(customer_id=purchase.customer_id, store_id=store.pk),
        submission_key="asked",
        now=now(),
    )


def actor(case: RefundRequest, actions: frozenset[Action] = MAY) -> Actor:
    """Return a member of the Saleor's staff."""
    return Actor(kind=ActorKind.STAFF, id="saleor:sam", store_id=case.store_id, actions=actions, label="sam@shop.example")


def approve(case: RefundRequest) -> Refund:
    """Approve it as store credit."""
    approve_request(request_id=case.pk, by=actor(case), reason="He wants credit.", by_hand=True, now=now())
    return Refund.objects.get(request=case)


def sent_money() -> int:
    """Drive the workers, and return how much money they sent."""
    drive_refunds()
    gateway = gateway_for(default_account())
    assert isinstance(gateway, MemoryGateway)
    return sum(command.amount.minor for command in gateway.sent)


def test_a_gift_card_is_issued_for_the_customer_and_no_money_is_sent(case, saleor):
    refund = give_store_credit(refund_id=approve(case).pk, by=actor(case), now=now())
    (card,) = saleor.world.gift_cards.values()
    assert (card.current.amount, card.current.currency) == (Decimal("18.20"), "EUR")
    assert refund.state == "manual_paid" and refund.proof["method"] == "store_credit" and refund.proof["reference"] == card.code
    assert 8 <= len(card.code) <= 16  # what Saleor takes
    if saleor.api_version == "3.23":
        assert card.assigned_to.email == "ada@example.com"
    assert sent_money() == 0


@pytest.mark.parametrize("executed", [False, True])
def test_an_answer_that_is_lost_leaves_one_card_and_no_money(case, saleor, executed):
    refund = approve(case)
    saleor.traps.add(Fault("drop", operation="GiftCardCreate", executed=executed))
    with pytest.raises(SaleorError):
        give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    assert sent_money() == 0
    done = give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    again = give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    assert done.state == again.state == "manual_paid"
    assert [card.code for card in saleor.world.gift_cards.values()] == [done.proof["reference"]]


def test_a_changed_secret_key_finds_the_card_that_was_issued_under_the_old_one(case, saleor, settings):
    refund = approve(case)
    saleor.traps.add(Fault("drop", operation="GiftCardCreate", executed=True))
    with pytest.raises(SaleorError):
        give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN}
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    assert len(saleor.world.gift_cards) == 1


def test_money_that_is_on_its_way_is_not_given_as_credit_too(case, saleor):
    approve_request(request_id=case.pk, by=actor(case), reason="Money.", now=now())
    assert sent_money() == 1820
    with pytest.raises(WrongState):
        give_store_credit(refund_id=Refund.objects.get(request=case).pk, by=actor(case), now=now())
    assert not saleor.world.gift_cards


def test_what_a_colleague_pays_by_hand_is_not_given_as_credit_too(case, saleor):
    refund = approve(case)
    Refund.objects.update(claimed_by_id="7", claimed_by_label="Bo, by transfer")
    with pytest.raises(WrongState, match="Bo, by transfer"):
        give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    assert not saleor.world.gift_cards
    refund.refresh_from_db()
    assert (refund.state, refund.claimed_by_id, can_be_credit(refund)) == ("manual_claimed", "7", False)


def test_a_claim_that_the_machine_may_have_paid_before_a_restore_is_not_given_as_credit_too(case, saleor):
    refund = approve(case)
    Refund.objects.update(list_first=True)
    with pytest.raises(WrongState):
        give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    assert not saleor.world.gift_cards


def test_a_permission_that_was_taken_away_is_named_and_nothing_is_sent(case, installed, saleor):
    refund = approve(case)
    installed.app.permissions.remove("MANAGE_GIFT_CARD")
    with pytest.raises(SaleorPermissionDenied, match="MANAGE_GIFT_CARD"):
        give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    assert sent_money() == 0 and not saleor.world.gift_cards


def test_whoever_may_not_pay_by_hand_gives_nothing(case, saleor):
    refund = approve(case)
    before = (refund.state, refund.claimed_by_id)
    with pytest.raises(Exception, match="not allowed"):
        give_store_credit(refund_id=refund.pk, by=actor(case, MAY - {Action.PAY_BY_HAND}), now=now())
    refund.refresh_from_db()
    assert (refund.state, refund.claimed_by_id) == before and not saleor.world.gift_cards


def open_case(case: RefundRequest, installed: Any, saleor: Any, *permissions: str) -> Panel:
    """Open the case in the dashboard, as someone with these permissions."""
    user = saleor.add_user(f"{len(permissions)}@shop.example", staff_permissions=list(permissions))
    token = saleor.dashboard_token(user, installed.app)
    row = SaleorInstallation.objects.get()
    return Panel.open("saleor_case", saleorApiUrl=row.api_url, accessToken=token, orderId=None, case=str(case.pk))


def test_staff_approve_a_request_as_a_gift_card_in_the_dashboard(case, installed, saleor):
    plain = open_case(case, installed, saleor, "MANAGE_ORDERS", "HANDLE_PAYMENTS")
    assert not plain.soup.select("input[name=credit]")
    page = open_case(case, installed, saleor, "MANAGE_ORDERS", "HANDLE_PAYMENTS", "MANAGE_GIFT_CARD")
    assert "Give it as a gift card" in page.text
    done = page.press("Approve and send the money", reason="He wants credit.", credit="1")
    (card,) = saleor.world.gift_cards.values()
    assert "is given as store credit" in done.text and card.code in done.text
    assert sent_money() == 0
    looked = open_case(case, installed, saleor, "MANAGE_ORDERS", "HANDLE_PAYMENTS").text
    assert card.code not in looked and f"ends in {card.code[-4:]}" in looked  # who may not issue such may not spend it either


def test_without_the_persons_own_permission_a_forged_field_gives_no_card(case, installed, saleor):
    plain = open_case(case, installed, saleor, "MANAGE_ORDERS", "HANDLE_PAYMENTS")
    approve(case)
    again = open_case(case, installed, saleor, "MANAGE_ORDERS", "HANDLE_PAYMENTS")
    assert not again.soup.select("button[value=credit]") and plain.response.status_code == 200
    assert not saleor.world.gift_cards


@pytest.mark.parametrize("kind", ["voucher"])
def test_a_voucher_for_one_order_is_listed_in_the_orders_channel_and_finished_after_a_lost_answer(case, saleor):
    refund = approve(case)
    saleor.traps.add(Fault("drop", operation="VoucherChannelListingUpdate", executed=False))
    with pytest.raises(SaleorError):
        give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    done = give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    (voucher,) = saleor.world.vouchers.values()
    assert voucher.codes == [done.proof["reference"]]
    assert voucher.values["singleUse"] is True and voucher.values["usageLimit"] == 1
    (listing,) = voucher.listings.values()
    assert Decimal(str(listing["discountValue"])) == Decimal("18.20")


@pytest.mark.parametrize("kind", ["voucher"])
def test_a_voucher_in_a_channel_that_is_not_there_is_refused(case, installed, saleor):
    with pytest.raises(WrongState, match="no channel"):
        issue(
            client_for(installed.row.slug),
            CreditTold(
                store=installed.row.slug,
                kind=CreditKind.VOUCHER,
                code="K",
                worth=10,
                currency="EUR",
                name="R-1",
                channel="nowhere",
                timezone="UTC",
            ),
        )
    assert not saleor.world.vouchers


def test_the_manifest_asks_for_more_only_where_the_settings_want_it(settings):
    settings.REFUND_PLUGIN = {"SALEOR": {"https://a.example/graphql/": {}}}
    assert manifest_for("https://site.example")["permissions"] == ["MANAGE_ORDERS", "HANDLE_PAYMENTS"]
    settings.REFUND_PLUGIN = {"SALEOR": {"https://a.example/graphql/": {"store_credit": "voucher"}}}
    assert manifest_for("https://site.example")["permissions"] == ["MANAGE_ORDERS", "HANDLE_PAYMENTS", "MANAGE_DISCOUNTS"]


def test_whoever_opens_the_tracking_page_reads_the_end_of_the_code_only(case, client):
    code = give_store_credit(refund_id=approve(case).pk, by=actor(case), now=now()).proof["reference"]
    page = client.get(tracking_url(case)).content.decode()
    assert code not in page and f"ends in {code[-4:]}" in page


def test_the_code_is_not_told_to_whoever_reads_the_orders_books_in_saleor(case):
    refund = give_store_credit(refund_id=approve(case).pk, by=actor(case), now=now())
    told = _described(StoreTelling(current=refund, refund_id=refund.pk, wanted=RefundStands.REFUNDED), now())
    assert told.note == "given as store credit" and refund.proof["reference"] not in repr(told)
