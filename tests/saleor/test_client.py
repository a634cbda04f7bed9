"""The client speaks to a whole Saleor, of each version: what it reads is what is there, and what it does happens once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from refund_plugin.saleor import api, credit
from refund_plugin.saleor.client import SaleorClient, client_for
from refund_plugin.saleor.errors import (
    SaleorCostExceeded,
    SaleorPermissionDenied,
    SaleorRefused,
    SaleorTokenInvalid,
    SaleorUnreachable,
    TokenInvalid,
)
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.signatures import verify_dashboard_token
from tests.saleor.conftest import Installed
from tests.saleor.standin import Standin
from tests.saleor.standin.traps import Fault


@pytest.fixture
def client(installed: Installed) -> SaleorClient:
    """Our App's client."""
    return client_for(installed.row.slug, sleep=lambda seconds: None)


def test_an_order_with_its_money_is_read_as_it_is(saleor: Standin, client: SaleorClient, saleor_version: str) -> None:
    user = saleor.add_user("ada@example.com")
    novel = {
        "name": "Novel",
        "price": "18.20",
        "undiscounted": "20.00",
        "tax_rate": "0.07",
        "downloads": 2,
        "metadata": {"nature": "said by the buyer"},
        "private_metadata": {"nature": "service"},
    }
    order = saleor.add_order(lines=[novel, {"price": "4.05", "quantity": 3, "shipping": True}], email="ada@example.com", user=user)
    paid = saleor.pay(order, psp_reference="pi_1")
    found = api.read_order(client, order.id, metadata_keys=["nature"])
    assert found is not None
    assert (found.number, found.user_id, found.user_email) == (order.number, user.id, "ada@example.com")
    assert (found.total_gross, found.charged, found.refunded) == (Decimal("30.35"), Decimal("30.35"), Decimal(0))
    assert [(line.total_gross, line.is_shipping_required) for line in found.lines] == [(Decimal("18.20"), False), (Decimal("12.15"), True)]
    assert found.lines[0].metadata == {"nature": "service"}
    assert found.lines[0].download_count == (2 if saleor_version == "3.22" else None)
    (transaction,) = found.transactions
    assert (transaction.id, transaction.psp_reference, transaction.charged) == (paid.id, "pi_1", Decimal("30.35"))
    assert transaction.app_id == saleor.other.app.id
    assert client.cost is not None and client.cost.asked > 0


def test_all_orders_are_read_once_each_in_pages_that_this_saleor_can_afford(saleor: Standin, client: SaleorClient) -> None:
    for number in range(23):
        saleor.add_order(created=saleor.clock.now() - timedelta(days=number), number=f"N-{number}")
    api.read_orders_page(client, page_size=5)
    assert client.cost is not None
    saleor.maximum_cost = client.cost.asked
    pages = list(api.iter_orders(client, page_size=20))
    assert [page.page_size for page in pages] == [5] * 5
    assert Counter(order.number for page in pages for order in page.orders) == Counter(f"N-{number}" for number in range(23))
    saleor.maximum_cost = 1
    with pytest.raises(SaleorCostExceeded):
        api.read_orders_page(client)


def test_a_refund_is_granted_and_requested_at_another_payment_app_and_read_again(saleor: Standin, client: SaleorClient) -> None:
    order = saleor.add_order(lines=[{"price": "30.00"}])
    paid = saleor.pay(order)
    grant = api.grant_refund(
        client,
        order_id=order.id,
        transaction_id=paid.id,
        amount=Decimal("10.00"),
        reason="Too late",
        lines=[(order.lines[0].id, 1)],
    )
    assert (grant.status, grant.amount, grant.lines[0].order_line_id) == ("NONE", Decimal(10), order.lines[0].id)
    assert api.update_granted_refund(client, granted_refund_id=grant.id, reason="Really too late").reason == "Really too late"
    asked = api.request_granted_refund(client, granted_refund_id=grant.id, transaction_id=paid.id)
    assert [event.amount for event in asked.events if event.type == "REFUND_REQUEST"] == [Decimal(10)]
    with pytest.raises(SaleorRefused) as caught:
        api.request_granted_refund(client, granted_refund_id=grant.id, transaction_id=paid.id)
    assert caught.value.code == "REFUND_IS_PENDING"
    saleor.work()
    read = api.read_transaction_money(client, paid.id)
    assert read is not None and read[1] is not None
    assert (read[0].refunded, read[1].refunded, read[1].granted_refunds[0].status) == (Decimal(10), Decimal(10), "SUCCESS")
    assert saleor.other.paid_for(paid.id) == Decimal(10)


def test_the_outcome_of_a_refund_of_our_own_transaction_is_told_once(saleor: Standin, client: SaleorClient, installed: Installed) -> None:
    paid = saleor.pay(saleor.add_order(lines=[{"price": "30.00"}]), app=installed.app)
    tell = {"transaction_id": paid.id, "psp_reference": "our-uuid", "amount": Decimal("10.00")}
    assert not api.report_transaction_event(client, event_type="REFUND_SUCCESS", **tell).already_processed  # type: ignore[arg-type]
    assert api.report_transaction_event(client, event_type="REFUND_SUCCESS", **tell).already_processed  # type: ignore[arg-type]
    assert paid.refunded == Decimal(10)


def test_nobody_elses_transaction_can_be_reported_on(saleor: Standin, client: SaleorClient) -> None:
    paid = saleor.pay(saleor.add_order())
    with pytest.raises(SaleorPermissionDenied) as caught:
        api.report_transaction_event(client, transaction_id=paid.id, event_type="REFUND_SUCCESS", psp_reference="x", amount=Decimal(1))
    assert caught.value.permissions == ("OWNER",)
    assert not caught.value.maybe_executed
    assert paid.refunded == 0


def test_a_permission_that_was_taken_away_is_named_and_a_removed_app_is_nobody(
    saleor: Standin, client: SaleorClient, installed: Installed
) -> None:
    order = saleor.add_order()
    installed.app.permissions.remove("MANAGE_ORDERS")
    with pytest.raises(SaleorPermissionDenied) as caught:
        api.read_orders_page(client)
    assert caught.value.permissions == ("MANAGE_ORDERS",)
    saleor.uninstall(installed.app)
    for ask in (lambda: api.read_order(client, order.id), lambda: api.read_app(client), lambda: api.read_orders_page(client)):
        with pytest.raises(SaleorTokenInvalid):
            ask()


@pytest.mark.parametrize("kind", ["garbage", "html", "500", "502", "drop", "too_large", "redirect", "null"])
def test_a_grant_whose_answer_is_lost_may_have_been_made_and_is_not_made_again(saleor: Standin, client: SaleorClient, kind: str) -> None:
    order = saleor.add_order(lines=[{"price": "30.00"}])
    paid = saleor.pay(order)
    saleor.traps.add(Fault(kind, operation="OrderGrantRefundCreate", executed=kind != "redirect"))  # type: ignore[arg-type]
    with pytest.raises(SaleorUnreachable) as caught:
        api.grant_refund(client, order_id=order.id, transaction_id=paid.id, amount=Decimal(10), reason="x")
    assert caught.value.maybe_executed is (kind != "redirect")
    money = api.read_order_money(client, order.id)
    assert money is not None
    assert len(money.granted_refunds) == (0 if kind == "redirect" else 1)


def test_a_read_is_repeated_when_saleor_stumbles(saleor: Standin, client: SaleorClient) -> None:
    order = saleor.add_order()
    saleor.traps.add(Fault("502", operation="OrderById", times=2))
    assert api.read_order(client, order.id) is not None


def test_every_function_sends_a_document_that_this_saleor_takes(saleor: Standin, client: SaleorClient, saleor_version: str) -> None:
    order = saleor.add_order(user=saleor.add_user("ada@example.com"), email="ada@example.com")
    paid = saleor.pay(order)
    assert [(channel.slug, channel.currency) for channel in api.read_channels(client)] == [("default-channel", "EUR")]
    assert {"MANAGE_ORDERS", "HANDLE_PAYMENTS"} <= set(api.read_app(client).permissions)
    assert all(webhook.is_active for webhook in api.read_webhooks(client))
    assert api.read_transaction(client, paid.id) is not None
    assert [found.number for found in api.iter_customer_orders(client, "ada@example.com")] == [order.number]
    assert order.user is not None
    customer = api.read_customer(client, order.user.id)
    assert customer is not None and customer.email == "ada@example.com"
    assert [money.id for money in api.read_order_money_page(client).orders] == [order.id]
    api.update_metadata(client, object_id=order.id, values={"refunds.state": "asked"}, private=True)
    read = api.read_order(client, order.id, metadata_keys=["refunds.state"])
    assert read is not None and read.private_metadata == {"refunds.state": "asked"}
    saleor.add_reasons(["Too late", "Broken"])
    reasons = credit.read_refund_reasons(client)
    titles = [] if reasons is None else sorted(reason.title for reason in reasons.pages)
    assert titles == ["Broken", "Too late"]


def test_keys_that_saleor_changes_are_followed(saleor: Standin, installed: Installed) -> None:
    user = saleor.add_user("clerk@example.com", staff_permissions=["MANAGE_ORDERS"])
    now = saleor.clock.now()
    token = saleor.dashboard_token(user, installed.app)
    assert verify_dashboard_token(token=token, installation=installed.row, now=now).user_id == user.id
    saleor.rotate_keys()
    row = SaleorInstallation.objects.get(pk=installed.row.pk)
    row.keys_read_at = now - timedelta(minutes=2)
    row.save()
    renewed = saleor.dashboard_token(user, installed.app)
    assert verify_dashboard_token(token=renewed, installation=row, now=now).user_permissions == {"MANAGE_ORDERS"}
    with pytest.raises(TokenInvalid):
        verify_dashboard_token(token=token, installation=SaleorInstallation.objects.get(pk=row.pk), now=now)
