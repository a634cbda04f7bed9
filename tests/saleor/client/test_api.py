"""What Saleor says becomes plain, exact data, page by page; what it says otherwise is no answer."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.saleor import api, credit, mapping
from refund_plugin.saleor.errors import SaleorAnswerTooLong, SaleorCostExceeded, SaleorError, SaleorTokenInvalid, SaleorUnreachable
from refund_plugin.saleor.versions import Version, read_version

MOMENT = "2026-11-20T10:00:00+00:00"


def money(amount: str) -> dict[str, Any]:
    return {"amount": Decimal(amount), "currency": "EUR"}


def taxed(gross: str, net: str) -> dict[str, Any]:
    return {"gross": money(gross), "net": money(net)}


def event(kind: str = "REFUND_REQUEST", amount: str = "5.00") -> dict[str, Any]:
    return {
        "id": "RXZlbnQ6MQ==",
        "createdAt": MOMENT,
        "type": kind,
        "pspReference": "re_1",
        "amount": money(amount),
        "message": "",
        "externalUrl": "",
        "idempotencyKey": None,
    }


def transaction(**changed: Any) -> dict[str, Any]:
    amounts = ("authorized", "charged", "chargePending", "refunded", "refundPending", "canceled", "cancelPending")
    return {
        "id": "VHg6MQ==",
        "createdAt": MOMENT,
        "modifiedAt": MOMENT,
        "name": "Card",
        "message": "",
        "pspReference": "pi_1",
        "externalUrl": "",
        "actions": ["REFUND"],
        **{f"{name}Amount": money("0.00") for name in amounts},
        "chargedAmount": money("18.20"),
        "createdBy": {"__typename": "App", "id": "QXBwOjE="},
        "paymentMethodDetails": {"name": "Visa", "brand": "visa", "lastDigits": "4242"},
        "events": [event()],
        "order": {"id": "T3JkZXI6MQ=="},
        **changed,
    }


def granted(**changed: Any) -> dict[str, Any]:
    return {
        "id": "R3JhbnQ6MQ==",
        "createdAt": MOMENT,
        "updatedAt": MOMENT,
        "amount": money("5.00"),
        "status": "PENDING",
        "reason": None,
        "reasonReference": None,
        "shippingCostsIncluded": False,
        "app": None,
        "lines": [{"id": "x", "quantity": 1, "reason": None, "orderLine": {"id": "TGluZTox"}}],
        "transaction": {"id": "VHg6MQ=="},
        "transactionEvents": [event()],
        **changed,
    }


def line(**changed: Any) -> dict[str, Any]:
    product_type = {"id": "t", "slug": "e-book", "isShippingRequired": False, "metafields": {"refunds.nature": "service", "a": "type"}}
    product = {
        "id": "p",
        "slug": "novel",
        "metafields": {"a": "product"},
        "category": {"slug": "fiction"},
        "collections": [{"slug": "summer"}],
        "productType": product_type,
    }
    return {
        "id": "TGluZTox",
        "productName": "Novel",
        "variantName": "EPUB",
        "productSku": "NOVEL-EPUB",
        "isShippingRequired": False,
        "isGift": None,
        "quantity": 2,
        "quantityFulfilled": 2,
        "taxRate": Decimal("0.07"),
        "totalPrice": taxed("18.20", "17.01"),
        "undiscountedTotalPrice": taxed("20.00", "18.69"),
        "privateMetafields": {"a": "line"},
        "variant": {"id": "v", "metafields": {}, "product": product},
        "digitalContentUrl": {"id": "u", "downloadNum": 3, "created": MOMENT},
        **changed,
    }


def order(**changed: Any) -> dict[str, Any]:
    return {
        "id": "T3JkZXI6MQ==",
        "number": "17",
        "created": MOMENT,
        "updatedAt": MOMENT,
        "status": "FULFILLED",
        "origin": "CHECKOUT",
        "chargeStatus": "FULL",
        "userEmail": "ada@example.com",
        "user": {"id": "VXNlcjox"},
        "channel": {"id": "c", "slug": "default-channel", "currencyCode": "EUR"},
        "languageCodeEnum": "DE",
        "billingAddress": {"firstName": "Ada", "lastName": "Lovelace", "companyName": "", "country": {"code": "DE"}},
        "shippingAddress": None,
        "total": taxed("18.20", "17.01"),
        "shippingPrice": taxed("0.00", "0.00"),
        "totalCharged": money("18.20"),
        "totalRefunded": money("0.00"),
        "totalGrantedRefund": money("5.00"),
        "totalRefundPending": money("5.00"),
        "voucherCode": None,
        "giftCards": [],
        "discounts": [{"id": "d", "type": "VOUCHER", "name": "Summer", "amount": money("1.80")}],
        "metafields": {},
        "privateMetafields": {"refunds.case": "R-1"},
        "externalReference": None,
        "lines": [line()],
        "transactions": [transaction()],
        "grantedRefunds": [granted()],
        **changed,
    }


class Fake:
    """A client that answers by a function."""

    def __init__(self, answer: Callable[[str, Mapping[str, Any]], Any], version: str = "3.23.1") -> None:
        self._answer, self._version = answer, read_version(version)
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def execute(self, name: str, **variables: object) -> dict[str, Any]:
        self.asked.append((name, variables))
        answer = self._answer(name, variables)
        assert isinstance(answer, dict)
        return answer

    def version(self) -> Version:
        return self._version


def listing(nodes: list[Any], cursor: str = "", field: str = "orders") -> dict[str, Any]:
    info = {"hasNextPage": bool(cursor), "endCursor": cursor or None}
    return {field: {"totalCount": 7, "pageInfo": info, "edges": [{"node": node} for node in nodes]}}


def test_an_order_is_read_whole_and_exactly() -> None:
    found = api.read_order(Fake(lambda *_: {"order": order()}), "T3JkZXI6MQ==", metadata_keys=["a"])
    assert found is not None
    assert (found.number, found.user_id, found.user_name, found.country, found.currency) == ("17", "VXNlcjox", "Ada Lovelace", "DE", "EUR")
    assert (found.total_gross, found.discount, found.granted) == (Decimal("18.20"), Decimal("1.80"), Decimal("5.00"))
    assert found.created == datetime(2026, 11, 20, 10, tzinfo=UTC)
    (of_line,) = found.lines
    assert (of_line.product_type_slug, of_line.category_slugs, of_line.collection_slugs) == ("e-book", ("fiction",), ("summer",))
    assert (of_line.tax_rate, of_line.download_count, of_line.is_gift) == (Decimal("0.07"), 3, False)
    assert of_line.metadata == {"refunds.nature": "service", "a": "line"}
    (paid,) = found.transactions
    assert (paid.app_id, paid.psp_reference, paid.charged, paid.brand, paid.last4) == ("QXBwOjE=", "pi_1", Decimal("18.20"), "visa", "4242")
    (grant,) = found.granted_refunds
    assert (grant.status, grant.amount, grant.transaction_id, grant.lines[0].quantity) == ("PENDING", Decimal("5.00"), "VHg6MQ==", 1)
    assert grant.events[0].type == "REFUND_REQUEST"
    assert not found.has_legacy_payments


def test_what_an_order_lacks_is_empty_and_not_an_error() -> None:
    bare = order(
        user=None,
        userEmail=None,
        billingAddress=None,
        shippingAddress={"country": {"code": "at"}},
        lines=[line(variant=None, productSku=None, digitalContentUrl=None)],
        transactions=[],
        grantedRefunds=[],
    )
    found = mapping.order(bare)
    assert (found.user_id, found.user_email, found.user_name, found.country) == ("", "", "", "AT")
    assert (found.lines[0].sku, found.lines[0].product_type_slug, found.lines[0].downloads) == ("", "", None)
    assert found.lines[0].metadata == {"a": "line"}
    assert found.has_legacy_payments


def test_an_order_in_a_log_shows_no_person() -> None:
    shown = repr(mapping.order(order()))
    assert "ada@example.com" not in shown and "Lovelace" not in shown


def test_nothing_found_is_none() -> None:
    nothing = Fake(lambda *_: {"order": None, "transaction": None, "user": None})
    assert api.read_order(nothing, "x") is None
    assert api.read_transaction(nothing, "x") is None
    assert api.read_transaction_money(nothing, "x") is None
    assert api.read_order_money(nothing, "x") is None
    assert api.read_customer(nothing, "x") is None


@given(st.decimals(min_value=0, max_value=10**9, places=3))
def test_an_amount_is_exactly_what_saleor_wrote(amount: Decimal) -> None:
    assert mapping.amount({"amount": amount, "currency": "KWD"}) == amount


@pytest.mark.parametrize("amount", [18.2, True, "18.20", None])
def test_an_amount_that_is_no_exact_number_is_no_answer(amount: object) -> None:
    broken = order(total={"gross": {"amount": amount, "currency": "EUR"}, "net": money("1")})
    with pytest.raises(SaleorUnreachable):
        api.read_order(Fake(lambda *_: {"order": broken}), "x")


def _without_one_part(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key)
            yield from _without_one_part(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _without_one_part(value, (*path, index))


def test_garbage_in_any_place_of_an_order_is_no_crash() -> None:
    """Whatever is wrong, callers meet a `SaleorError` or an order, never a KeyError."""
    for path in _without_one_part(order()):
        for rubbish in (7, "x", [], None):
            broken = copy.deepcopy(order())
            place: Any = broken
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = rubbish
            try:
                api.read_order(Fake(lambda *_, broken=broken: {"order": broken}), "x")
            except SaleorUnreachable as error:
                assert error.operation == "OrderById"


def test_all_orders_are_read_page_by_page_and_one_page_is_held() -> None:
    def answer(_name: str, variables: Mapping[str, Any]) -> Any:
        page = int(variables["after"] or 0)
        return listing([order(number=str(page))], str(page + 1) if page < 3 else "")

    client = Fake(answer)
    pages = api.iter_orders(client, page_size=10)
    assert next(pages).orders[0].number == "0"
    assert len(client.asked) == 1  # the next page is read when it is wanted
    assert [page.orders[0].number for page in pages] == ["1", "2", "3"]
    assert all(variables["sortBy"] == {"field": "CREATED_AT", "direction": "ASC"} for _name, variables in client.asked)
    assert [variables["first"] for _name, variables in client.asked] == [10] * 4


def test_reading_can_go_on_where_it_stopped() -> None:
    client = Fake(lambda *_: listing([]))
    list(api.iter_orders(client, after_cursor="where-i-was"))
    assert client.asked[0][1]["after"] == "where-i-was"


def test_orders_changed_since_are_sorted_by_their_change() -> None:
    client = Fake(lambda *_: listing([]))
    since = datetime(2026, 11, 1, tzinfo=UTC)
    list(api.iter_orders(client, updated_after=since))
    assert client.asked[0][1]["filter"] == {"updatedAt": {"gte": since}}
    assert client.asked[0][1]["sortBy"]["field"] == "LAST_MODIFIED_AT"


def test_orders_created_since_are_kept_to_the_second() -> None:
    since = datetime(2026, 11, 20, 10, tzinfo=UTC)
    older = (since - timedelta(seconds=1)).isoformat()
    client = Fake(lambda *_: listing([order(number="new"), order(number="old", created=older)]))
    page = api.read_orders_page(client, created_after=since)
    assert [found.number for found in page.orders] == ["new"]
    assert str(client.asked[0][1]["filter"]["created"]["gte"]) == "2026-11-19"


@pytest.mark.parametrize(
    "error", [SaleorCostExceeded("OrdersPage", cost=90_000, limit=50_000), SaleorAnswerTooLong("OrdersPage")], ids=["cost", "length"]
)
def test_a_page_that_is_too_much_is_halved_until_it_is_not_and_stays_small(error: SaleorError, caplog: pytest.LogCaptureFixture) -> None:
    def answer(_name: str, variables: Mapping[str, Any]) -> Any:
        if variables["first"] > 20:
            raise error
        return listing([], "" if variables["after"] else "next")

    client = Fake(answer)
    with caplog.at_level(logging.WARNING, "refund_plugin.saleor"):
        pages = list(api.iter_orders(client, page_size=100))
    assert [variables["first"] for _name, variables in client.asked] == [100, 50, 25, 12, 12]
    assert [page.page_size for page in pages] == [12, 12]
    assert "going on with pages of 12" in caplog.text


def test_one_order_that_costs_too_much_is_told() -> None:
    def answer(*_: object) -> Any:
        raise SaleorCostExceeded("OrdersPage", cost=90_000, limit=50_000)

    client = Fake(answer)
    with pytest.raises(SaleorCostExceeded):
        list(api.iter_orders(client))
    assert client.asked[-1][1]["first"] == 1


def test_no_page_is_larger_than_saleor_allows() -> None:
    client = Fake(lambda *_: listing([]))
    list(api.iter_orders(client, page_size=5000))
    assert client.asked[0][1]["first"] == 100


def test_orders_of_a_customer_are_asked_for_by_a_whole_address_because_saleor_would_search_for_names() -> None:
    node = {name: order()[name] for name in ("id", "number", "created", "status", "total", "totalCharged", "totalRefunded", "channel")}
    client = Fake(lambda *_: listing([node]))
    assert [found.number for found in api.iter_customer_orders(client, "ada@example.com")] == ["17"]
    for wrong in ("", "ada", "a@b@c", "ada lovelace@example.com"):
        with pytest.raises(ValueError, match="e-mail"):
            list(api.iter_customer_orders(client, wrong))
    assert len(client.asked) == 1


@pytest.mark.parametrize("amount", ["0", "-1"])
def test_nothing_is_never_granted_because_saleor_would_refund_everything(amount: str) -> None:
    client = Fake(lambda *_: {})
    with pytest.raises(ValueError, match="more than nothing"):
        api.grant_refund(client, order_id="o", transaction_id="t", amount=Decimal(amount), reason="x")
    assert client.asked == []


def test_a_refund_is_granted_for_a_transaction_and_lines() -> None:
    client = Fake(lambda *_: {"orderGrantRefundCreate": {"grantedRefund": granted(), "errors": []}})
    found = api.grant_refund(
        client, order_id="o", transaction_id="t", amount=Decimal("5.00"), reason="Too late", lines=[("l", 1)], reason_page_id="p"
    )
    assert (found.id, found.amount) == ("R3JhbnQ6MQ==", Decimal("5.00"))
    expected = {
        "transactionId": "t",
        "amount": Decimal("5.00"),
        "reason": "Too late",
        "lines": [{"id": "l", "quantity": 1}],
        "reasonReference": "p",
    }
    assert client.asked == [("OrderGrantRefundCreate", {"id": "o", "input": expected})]


def test_a_reasons_page_is_left_out_where_saleor_knows_none() -> None:
    client = Fake(lambda *_: {"orderGrantRefundCreate": {"grantedRefund": granted(), "errors": []}}, version="3.21.4")
    api.grant_refund(client, order_id="o", transaction_id="t", amount=Decimal("5.00"), reason="x", reason_page_id="p")
    assert "reasonReference" not in client.asked[0][1]["input"]  # type: ignore[operator]


@pytest.mark.parametrize(
    "answer", [{}, {"orderGrantRefundCreate": None}, {"orderGrantRefundCreate": {"grantedRefund": None, "errors": []}}]
)
def test_a_mutation_whose_answer_says_nothing_may_have_run(answer: dict[str, Any]) -> None:
    with pytest.raises(SaleorUnreachable) as caught:
        api.grant_refund(Fake(lambda *_: answer), order_id="o", transaction_id="t", amount=Decimal(5), reason="x")
    assert caught.value.maybe_executed


def test_an_event_is_reported_as_asked_with_a_message_that_fits() -> None:
    done = {"alreadyProcessed": True, "transaction": transaction(), "transactionEvent": event("REFUND_SUCCESS"), "errors": []}
    client = Fake(lambda *_: {"transactionEventReport": done})
    told = api.report_transaction_event(
        client, transaction_id="t", event_type="REFUND_SUCCESS", psp_reference="our-uuid", amount=Decimal("5.00"), message="x" * 600
    )
    assert told.already_processed
    assert told.event is not None and told.event.type == "REFUND_SUCCESS"
    ((_name, variables),) = client.asked
    assert len(str(variables["message"])) == 512
    assert (variables["pspReference"], variables["amount"]) == ("our-uuid", Decimal("5.00"))
    assert "time" not in variables


def test_who_we_are_is_read_with_what_we_may() -> None:
    node = {"id": "QXBwOjE=", "identifier": "refunds", "name": "Refunds", "isActive": True, "permissions": [{"code": "MANAGE_ORDERS"}]}
    found = api.read_app(Fake(lambda *_: {"app": node, "shop": {"name": "Shop", "version": "3.23.1"}}))
    assert (found.id, found.permissions, found.version, found.is_active) == ("QXBwOjE=", ("MANAGE_ORDERS",), "3.23.1", True)
    with pytest.raises(SaleorTokenInvalid):
        api.read_app(Fake(lambda *_: {"app": None, "shop": {"name": "Shop", "version": "3.23.1"}}))


def test_metadata_is_written_where_it_is_asked_for() -> None:
    client = Fake(lambda *_: {"updateMetadata": {"errors": []}})
    api.update_metadata(client, object_id="l", values={"refunds.state": "frozen"}, private=True)
    api.update_metadata(client, object_id="l", values={"refunds.state": "frozen"})
    assert [name for name, _variables in client.asked] == ["UpdatePrivateMetadata", "UpdateMetadata"]
    assert client.asked[0][1]["input"] == [{"key": "refunds.state", "value": "frozen"}]


def test_reasons_are_the_pages_of_the_chosen_type_on_all_pages() -> None:
    kind = {"id": "k", "name": "Refund reasons", "slug": "refund-reasons"}

    def answer(name: str, variables: Mapping[str, Any]) -> Any:
        if name == "RefundReasonType":
            return {"refundSettings": {"reasonReferenceType": kind}}
        more = {"id": "p2", "slug": "late", "title": "Too late", "isPublished": True}
        first = {"id": "p1", "slug": "broken", "title": "Broken", "isPublished": True}
        return listing([more], field="pages") if variables["after"] else listing([first], "next", field="pages")

    found = credit.read_refund_reasons(Fake(answer))
    assert found is not None
    assert [page.slug for page in found.pages] == ["broken", "late"]
    assert credit.read_refund_reasons(Fake(answer, version="3.21.1")) is None
    assert credit.read_refund_reasons(Fake(lambda *_: {"refundSettings": {"reasonReferenceType": None}})) is None


def test_a_voucher_is_for_one_use_and_listed_with_its_value() -> None:
    node = {"id": "v", "code": "THANKS-1", "name": "Sorry", "endDate": MOMENT}
    client = Fake(lambda name, _: {name[0].lower() + name[1:]: {"voucher": node, "errors": []}})
    made = credit.create_voucher(client, code="THANKS-1", name="Sorry", value_type="FIXED")
    credit.list_voucher(client, voucher_id=made.id, channel_id="c", value=Decimal("5.00"))
    created, listed = client.asked
    wanted = {"addCodes": ["THANKS-1"], "usageLimit": 1, "singleUse": True, "applyOncePerCustomer": True, "type": "ENTIRE_ORDER"}
    assert wanted.items() <= created[1]["input"].items()  # type: ignore[attr-defined]
    assert listed[1]["input"] == {"addChannels": [{"channelId": "c", "discountValue": Decimal("5.00")}]}
    assert "THANKS-1" not in repr(made)


def test_a_voucher_is_found_by_its_whole_code() -> None:
    nodes = [{"id": code, "code": code, "name": None, "endDate": None, "channelListings": None} for code in ("THANKS-10", "THANKS-1")]
    client = Fake(lambda *_: {"vouchers": {"edges": [{"node": node} for node in nodes]}})
    found = credit.find_voucher(client, code="THANKS-1")
    assert found is not None and found.id == "THANKS-1"
    assert credit.find_voucher(client, code="THANKS") is None


@pytest.mark.parametrize(("version", "assigned"), [("3.22.67", False), ("3.23.1", True)])
def test_a_gift_card_is_given_to_the_customer_where_saleor_can(version: str, assigned: bool) -> None:
    node = {"id": "g", "code": "CARD-1", "last4CodeChars": "RD-1", "currentBalance": money("5.00")}
    client = Fake(lambda *_: {"giftCardCreate": {"giftCard": node, "errors": []}}, version=version)
    made = credit.create_gift_card(client, code="CARD-1", amount=Decimal("5.00"), currency="EUR", assigned_to="VXNlcjox")
    assert (made.balance, made.last4) == (Decimal("5.00"), "RD-1")
    assert ("assignedTo" in client.asked[0][1]["input"]) is assigned  # type: ignore[operator]
    assert "CARD-1" not in repr(made)
