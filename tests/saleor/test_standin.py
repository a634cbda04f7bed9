"""The stand-in is as strict as Saleor, and as careless: its schema, its permissions, its sums, and each trap by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import jwt
import pytest
import requests
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLSchema, GraphQLUnionType, build_schema, validate
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.saleor import operations
from refund_plugin.saleor.versions import Version
from tests.saleor.conftest import Installed
from tests.saleor.published import published_schema
from tests.saleor.standin import Standin
from tests.saleor.standin.install import InstallRefused
from tests.saleor.standin.refusals import Refusal
from tests.saleor.standin.schema import schema_of, sdl
from tests.saleor.standin.traps import Fault
from tests.saleor.standin.webhooks import Answer, NoAnswer
from tests.saleor.standin.world import App, Order, Thing, TransactionItem, Webhook

REFUNDS = "subscription { event { ... on TransactionRefundRequested { action { amount } grantedRefund { id } transaction { id } } } }"
ORDERS = "subscription { event { __typename ... on OrderFullyPaid { order { id userEmail } } ... on OrderRefunded { order { id } } } }"
EVERYTHING = ["MANAGE_ORDERS", "HANDLE_PAYMENTS"]


class ScriptedApp:
    """An app that answers as the test says and remembers what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: list[Answer | type[NoAnswer]] = []
        self.default = Answer(200, b"{}")

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        return self.post(url, b"", headers)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        self.got.append((url, body, headers))
        answer = self.answers.pop(0) if self.answers else self.default
        if isinstance(answer, Answer):
            return answer
        raise answer("nobody answered")

    def says(self, *answers: Any, status: int = 200) -> None:
        """Queue answers; a dict is sent as JSON."""
        for each in answers:
            self.answers.append(Answer(status, json.dumps(each).encode()) if isinstance(each, dict) else each)


@pytest.fixture
def mine() -> ScriptedApp:
    """What our App would be."""
    return ScriptedApp()


@pytest.fixture
def shop(saleor_version: str, mine: ScriptedApp) -> Iterator[Standin]:
    """A Saleor that reaches the scripted app, and nothing of Django."""
    standin = Standin(saleor_version, transport=mine).start()
    yield standin
    standin.stop()


@pytest.fixture
def app(shop: Standin) -> App:
    """The scripted app, installed, with webhooks for refunds and orders."""
    made = shop.add_app(permissions=list(EVERYTHING))
    for name, query, events in (
        ("refunds", REFUNDS, ["TRANSACTION_REFUND_REQUESTED"]),
        ("orders", ORDERS, ["ORDER_FULLY_PAID", "ORDER_REFUNDED", "ORDER_FULLY_REFUNDED"]),
    ):
        url = f"http://app.example/{name}/"
        made.webhooks.append(Webhook(id=name, app=made, name=name, target_url=url, query=query, events=events))
    return made


@pytest.fixture
def order(shop: Standin) -> Order:
    """An order of 30.00."""
    return shop.add_order(lines=[{"price": "30.00"}])


@pytest.fixture
def ours(shop: Standin, app: App, order: Order, mine: ScriptedApp) -> TransactionItem:
    """Its payment through the scripted app, with the webhooks about it behind us."""
    item = shop.pay(order, app=app)
    shop.work()
    mine.got.clear()
    return item


def ask(shop: Standin, token: str, query: str, **variables: Any) -> requests.Response:
    """Call the API."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(shop.api_url, json={"query": query, "variables": variables}, headers=headers, timeout=10)


def token_of(app: App) -> str:
    """What the app may call the API with."""
    return next(iter(app.tokens))


def refunds(mine: ScriptedApp) -> list[bytes]:
    """The bodies of the requests for refunds."""
    return [body for url, body, _ in mine.got if url.endswith("/refunds/")]


class TestSchema:
    @pytest.mark.parametrize("version", ["3.22", "3.23"])
    def test_everything_it_knows_is_in_the_published_schema_with_the_same_type(self, version: str) -> None:
        published, mine = published_schema(version), build_schema(sdl(version))
        assert [problem for name in mine.type_map if not name.startswith("__") for problem in differences(mine, published, name)] == []

    def test_a_document_of_ours_that_the_version_understands_is_valid_on_it(self, saleor_version: str) -> None:
        version = Version(3, int(saleor_version[2:]))
        for name in operations.names():
            errors = validate(schema_of(saleor_version), operations.operation(name, version).document)
            assert not errors, (name, errors)

    def test_digital_content_is_known_to_3_22_alone(self, shop: Standin, app: App, order: Order) -> None:
        order.lines[0].downloads = 2
        answer = ask(
            shop, token_of(app), "query Q($id: ID!) { order(id: $id) { lines { digitalContentUrl { downloadNum } } } }", id=order.id
        )
        if shop.version == "3.22":
            assert answer.json()["data"]["order"]["lines"] == [{"digitalContentUrl": {"downloadNum": 2}}]
        else:
            assert answer.status_code == 400
            assert "digitalContentUrl" in answer.json()["errors"][0]["message"]

    def test_a_reason_per_line_is_known_to_3_23_alone(self, shop: Standin, app: App) -> None:
        answer = ask(shop, token_of(app), "{ orders(first: 1) { edges { node { grantedRefunds { lines { reasonReference { id } } } } } } }")
        assert answer.status_code == (400 if shop.version == "3.22" else 200)

    def test_a_required_variable_with_a_default_is_refused(self, shop: Standin, app: App) -> None:
        answer = ask(shop, token_of(app), 'query Q($id: ID! = "x") { order(id: $id) { id } }')
        assert answer.status_code == 400
        assert "will not use the default value" in answer.json()["errors"][0]["message"]


def differences(mine: GraphQLSchema, published: GraphQLSchema, name: str) -> list[str]:
    """Say where a type of the stand-in is not a part of Saleor's."""
    own, theirs = mine.type_map[name], published.type_map.get(name)
    if type(theirs) is not type(own):
        return [name]
    if isinstance(own, GraphQLEnumType):
        return [f"{name}.{value}" for value in own.values if value not in theirs.values]  # type: ignore[union-attr]
    if isinstance(own, GraphQLUnionType):
        names = {each.name for each in theirs.types}  # type: ignore[union-attr]
        return [f"{name} = {each.name}" for each in own.types if each.name not in names]
    problems = []
    for key, field in getattr(own, "fields", {}).items():
        other = theirs.fields.get(key)  # type: ignore[union-attr]
        if other is None or str(other.type) != str(field.type):
            problems.append(f"{name}.{key}")
        elif not isinstance(own, GraphQLInputObjectType):
            arguments = {argument: str(each.type) for argument, each in other.args.items()}
            problems += [f"{name}.{key}({each})" for each, value in field.args.items() if arguments.get(each) != str(value.type)]
    return problems


class TestPermissions:
    def test_a_token_that_lost_a_permission_is_told_which(self, shop: Standin, app: App, order: Order) -> None:
        app.permissions.remove("MANAGE_ORDERS")
        answer = ask(shop, token_of(app), "query Q($id: ID!) { order(id: $id) { number grantedRefunds { id } } }", id=order.id)
        (error,) = answer.json()["errors"]
        assert answer.status_code == 200
        assert error["message"] == "To access this path, you need one of the following permissions: MANAGE_ORDERS"
        assert error["extensions"]["exception"]["code"] == "PermissionDenied"
        assert answer.json()["data"] == {"order": None}

    def test_a_denied_grant_changes_nothing(self, shop: Standin, app: App, order: Order, ours: TransactionItem) -> None:
        app.permissions.remove("MANAGE_ORDERS")
        answer = ask(shop, token_of(app), GRANT, id=order.id, input={"amount": "1.00", "transactionId": ours.id})
        assert "MANAGE_ORDERS" in answer.json()["errors"][0]["message"]
        assert order.granted_refunds == []

    def test_a_token_that_nobody_has_is_nobody(self, shop: Standin, order: Order) -> None:
        answer = ask(shop, "unknown", "{ app { id } orders(first: 1) { totalCount } }").json()
        assert len(answer["errors"]) == 2
        assert answer["data"] == {"app": None, "orders": None}

    def test_only_the_owner_may_report_on_a_transaction(self, shop: Standin, app: App, order: Order) -> None:
        theirs = shop.pay(order)
        before = len(theirs.events)
        answer = ask(shop, token_of(app), REPORT, id=theirs.id, type="REFUND_SUCCESS", reference="x", amount="1.00").json()
        assert answer["errors"][0]["message"].endswith("OWNER, HANDLE_PAYMENTS")
        assert len(theirs.events) == before

    def test_an_app_that_was_installed_anew_owns_its_old_transactions(self, shop: Standin, app: App, ours: TransactionItem) -> None:
        shop.uninstall(app)
        again = shop.add_app(permissions=list(EVERYTHING), identifier=app.identifier)
        answer = ask(shop, token_of(again), REPORT, id=ours.id, type="REFUND_SUCCESS", reference="x", amount="1.00").json()
        assert answer["data"]["transactionEventReport"]["errors"] == []


GRANT = """
    mutation G($id: ID!, $input: OrderGrantRefundCreateInput!) { orderGrantRefundCreate(id: $id, input: $input) { errors { code } } }
"""
VOUCHER = """
    mutation V($input: VoucherInput!) {
      voucherCreate(input: $input) { voucher { id channelListings { discountValue } } errors { code } }
    }
"""
CARD = """
    mutation Card($input: GiftCardCreateInput!) {
      giftCardCreate(input: $input) { giftCard { id } errors { code } }
    }"""
LISTING = """
    mutation L($id: ID!, $input: VoucherChannelListingInput!) {
      voucherChannelListingUpdate(id: $id, input: $input) { voucher { channelListings { discountValue currency } } }
    }
"""
METADATA = """
    mutation M($id: ID!) {
      updatePrivateMetadata(id: $id, input: [{key: "refunds.state", value: "used"}]) { item { privateMetafield(key: "refunds.state") } }
    }
"""
REPORT = """
    mutation R($id: ID!, $type: TransactionEventTypeEnum!, $reference: String!, $amount: PositiveDecimal, $time: DateTime) {
      transactionEventReport(id: $id, type: $type, pspReference: $reference, amount: $amount, time: $time) {
        alreadyProcessed
        errors { field code message }
      }
    }
"""


class TestLimits:
    def test_an_operation_that_costs_too_much_is_refused_with_its_cost(self, shop: Standin, app: App) -> None:
        query = "{ orders(first: 100) { edges { node { lines { id } } } } }"
        cheap = ask(shop, token_of(app), query).json()["extensions"]["cost"]
        assert cheap == {"requestedQueryCost": 200, "maximumAvailable": 50_000}
        shop.maximum_cost = 199
        answer = ask(shop, token_of(app), query)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["extensions"]["cost"] == {"requestedQueryCost": 200, "maximumAvailable": 199}
        assert answer.json()["errors"][0]["extensions"]["exception"]["code"] == "QueryCostError"

    def test_a_page_has_a_size_and_at_most_a_hundred_rows(self, shop: Standin, app: App) -> None:
        for query in ("{ orders { totalCount } }", "{ orders(first: 101) { totalCount } }"):
            assert ask(shop, token_of(app), query).json()["data"] == {"orders": None}

    def test_pages_follow_each_other_until_the_last(self, shop: Standin, app: App) -> None:
        placed = [shop.add_order().id for _ in range(5)]
        query = "query P($after: String) { orders(first: 2, after: $after) { pageInfo { hasNextPage endCursor } edges { node { id } } } }"
        seen, after = [], None
        while True:
            page = ask(shop, token_of(app), query, after=after).json()["data"]["orders"]
            seen += [edge["node"]["id"] for edge in page["edges"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert seen == placed[::-1]

    def test_more_than_four_mutations_in_one_operation_are_refused(self, shop: Standin, app: App, order: Order) -> None:
        parts = " ".join(
            f'm{index}: updateMetadata(id: $id, input: [{{key: "a", value: "b"}}]) {{ errors {{ code }} }}' for index in range(5)
        )
        assert ask(shop, token_of(app), f"mutation M($id: ID!) {{ {parts} }}", id=order.id).status_code == 400
        assert order.metadata == {}

    @pytest.mark.parametrize("kind", ["garbage", "html", "null", "rate_limit", "502", "redirect"])
    def test_an_answer_can_be_made_to_fail_once(self, shop: Standin, app: App, kind: Any) -> None:
        shop.traps.add(Fault(kind))
        broken = ask_raw(shop, token_of(app))
        assert broken.status_code != 200 or "shop" not in broken.text
        assert ask_raw(shop, token_of(app)).json()["data"]["shop"]["version"] == shop.api_version

    def test_a_lost_answer_leaves_what_was_done(self, shop: Standin, app: App, order: Order) -> None:
        shop.traps.add(Fault("drop", executed=True))
        with pytest.raises(requests.ConnectionError):
            ask(
                shop,
                token_of(app),
                'mutation M($id: ID!) { updateMetadata(id: $id, input: [{key: "a", value: "b"}]) { errors { code } } }',
                id=order.id,
            )
        assert order.metadata == {"a": "b"}


def ask_raw(shop: Standin, token: str) -> requests.Response:
    """Ask for the version without following redirects."""
    headers = {"Authorization": f"Bearer {token}"}
    return requests.post(shop.api_url, json={"query": "{ shop { version } }"}, headers=headers, timeout=10, allow_redirects=False)


class TestWebhooks:
    def test_an_event_arrives_with_saleors_headers_their_old_twins_and_a_detached_signature(
        self, shop: Standin, app: App, order: Order, mine: ScriptedApp
    ) -> None:
        shop.pay(order, app=app)
        shop.work()
        ((url, body, headers),) = mine.got
        assert url == "http://app.example/orders/"
        assert json.loads(body) == {"__typename": "OrderFullyPaid", "order": {"id": order.id, "userEmail": order.user_email}}
        for name, value in (("Event", "order_fully_paid"), ("Domain", shop.domain), ("Signature", headers["Saleor-Signature"])):
            assert headers[f"Saleor-{name}"] == headers[f"X-Saleor-{name}"] == value
        assert headers["Saleor-Api-Url"] == shop.api_url
        header, middle, _ = headers["Saleor-Signature"].split(".")
        assert middle == ""
        (key,) = requests.get(f"http://{shop.domain}/.well-known/jwks.json", timeout=10).json()["keys"]
        decoded = jwt.api_jws.decode_complete(headers["Saleor-Signature"], jwt.PyJWK(key).key, ["RS256"], detached_payload=body)
        assert decoded["header"] == {"alg": "RS256", "b64": False, "crit": ["b64"], "kid": key["kid"], "typ": "JWT"}
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.api_jws.decode_complete(headers["Saleor-Signature"], jwt.PyJWK(key).key, ["RS256"], detached_payload=body + b" ")

    def test_an_event_is_sent_six_times_at_ten_seconds_and_then_twice_as_much_each(
        self, shop: Standin, app: App, order: Order, mine: ScriptedApp
    ) -> None:
        mine.default = Answer(503, b"")
        shop.clock.set(shop.clock.now())
        shop.pay(order, app=app)
        assert shop.work() == 1
        for pause in (10, 20, 40, 80, 160):
            shop.clock.advance(pause - 1)
            assert shop.work() == 0
            shop.clock.advance(1.1)
            assert shop.work() == 1
        shop.clock.advance(10_000)
        assert shop.work() == 0
        (delivery,) = shop.post.sent
        assert delivery.state == "FAILED"
        assert len({body for _, body, _ in mine.got}) == 1

    @pytest.mark.parametrize("status", [301, 400, 401, 404])
    def test_an_event_that_is_refused_is_not_sent_again(
        self, shop: Standin, app: App, order: Order, mine: ScriptedApp, status: int
    ) -> None:
        mine.default = Answer(status, b"")
        shop.pay(order, app=app)
        shop.work()
        shop.clock.advance(10_000)
        assert shop.work() == 0
        assert len(mine.got) == 1

    def test_an_app_that_may_not_read_a_field_gets_the_event_with_the_error(
        self, shop: Standin, app: App, order: Order, mine: ScriptedApp
    ) -> None:
        app.permissions.remove("MANAGE_ORDERS")
        shop.pay(order, app=app)
        shop.work()
        body = json.loads(mine.got[0][1])
        assert body["order"]["userEmail"] is None
        assert body["errors"][0]["extensions"]["exception"]["code"] == "PermissionDenied"

    def test_a_rotated_key_has_another_kid_and_the_old_one_is_gone(self, shop: Standin) -> None:
        (old,) = shop.jwks()["keys"]
        shop.rotate_keys()
        (new,) = shop.jwks()["keys"]
        assert old["kid"] != new["kid"]
        shop.rotate_keys(keep_old=True)
        assert [key["kid"] for key in shop.jwks()["keys"]][0] == new["kid"]

    def test_the_removal_of_an_app_is_told_to_that_app_alone(self, shop: Standin, app: App, mine: ScriptedApp) -> None:
        other = shop.add_app(permissions=[], identifier="another")
        for each in (app, other):
            query = "subscription { event { ... on AppDeleted { app { id } } } }"
            each.webhooks.append(
                Webhook(id=each.id, app=each, name="gone", target_url=f"http://{each.identifier}/", query=query, events=["APP_DELETED"])
            )
        shop.uninstall(app)
        shop.work()
        assert [(url, json.loads(body)) for url, body, _ in mine.got] == [("http://our.app/", {"app": {"id": app.id}})]


class TestTraps:
    """Each one was observed on a running Saleor."""

    def test_1_after_a_5xx_the_request_comes_again_with_an_empty_body_and_a_valid_signature(
        self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "30.00")
        mine.says(Answer(500, b""), {"pspReference": "r"})
        shop.send_refund(grant)
        shop.work()
        assert grant.status == "PENDING"
        shop.clock.advance(11)
        shop.work()
        first, second = refunds(mine)
        assert json.loads(first)["grantedRefund"] == {"id": grant.id}
        assert second == b""
        signature = mine.got[-1][2]["Saleor-Signature"]
        jwt.api_jws.decode_complete(signature, jwt.PyJWK(shop.jwks()["keys"][0]).key, ["RS256"], detached_payload=b"")

    def test_1_after_the_last_retry_the_refund_has_failed(
        self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "30.00")
        mine.default = Answer(500, b"")
        shop.send_refund(grant)
        for _ in range(6):
            shop.work()
            shop.clock.advance(400)
        assert len(refunds(mine)) == 6
        assert grant.status == "FAILURE"

    @pytest.mark.parametrize("answer", [NoAnswer, Answer(200, b"<html>"), Answer(200, b"null"), Answer(200, b"{}")])
    def test_2_a_timeout_or_no_json_is_a_failure_at_once_and_is_never_tried_again(
        self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp, answer: Any
    ) -> None:
        grant = shop.grant(order, ours, "30.00")
        mine.answers.append(answer)
        shop.send_refund(grant)
        shop.work()
        assert grant.status == "FAILURE"
        shop.clock.advance(10_000)
        assert shop.work() == 0
        assert ours.charged == 30

    def test_2_what_was_paid_in_that_time_is_paid_and_the_dashboard_offers_it_again(self, shop: Standin, order: Order) -> None:
        theirs = shop.pay(order)
        shop.other.script.append("lost")
        grant = shop.grant(order, theirs, "30.00")
        for _ in range(2):
            shop.send_refund(grant)
            shop.work()
        assert shop.other.paid_for(theirs.id) == 60

    def test_3_a_400_that_says_it_paid_is_believed(self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp) -> None:
        grant = shop.grant(order, ours, "30.00")
        mine.says({"pspReference": "r", "result": "REFUND_SUCCESS"}, status=400)
        shop.send_refund(grant)
        shop.work()
        assert grant.status == "SUCCESS"
        assert ours.refunded == 30

    def test_4_a_time_before_the_request_leaves_the_grant_pending_though_the_money_is_counted(
        self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "30.00")
        earlier = (shop.clock.now() - timedelta(seconds=1)).isoformat()
        shop.send_refund(grant)
        mine.says({"pspReference": "r", "result": "REFUND_SUCCESS", "time": earlier})
        shop.work()
        assert grant.status == "PENDING"
        assert ours.refunded == 30

    def test_4_the_same_with_a_report(self, shop: Standin, app: App, order: Order, ours: TransactionItem, mine: ScriptedApp) -> None:
        grant = shop.grant(order, ours, "30.00")
        earlier = shop.clock.now() - timedelta(seconds=1)
        mine.says({"pspReference": "r"})
        shop.send_refund(grant)
        shop.work()
        shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(30), time=earlier)
        assert grant.status == "PENDING"

    def test_5_the_same_reference_with_another_amount_turns_a_paid_grant_into_a_failed_one(
        self, shop: Standin, app: App, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "20.00")
        mine.says({"pspReference": "r"})
        shop.send_refund(grant)
        shop.work()
        shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(20))
        assert grant.status == "SUCCESS"
        answer = ask(shop, token_of(app), REPORT, id=ours.id, type="REFUND_SUCCESS", reference="r", amount="19.00").json()
        assert answer["data"]["transactionEventReport"]["errors"][0]["code"] == "INCORRECT_DETAILS"
        assert grant.status == "FAILURE"
        assert ours.refunded == 20
        order.lines[0].quantity = 2
        shop.report_as(app, ours, "CHARGE_SUCCESS", "more", Decimal(30))
        shop.send_refund(grant)  # nothing stops the second payout

    def test_6_two_granted_refunds_at_once_pay_more_than_was_charged(self, shop: Standin, order: Order) -> None:
        theirs = shop.pay(order)
        grants = [shop.grant(order, theirs, "30.00") for _ in range(2)]
        for grant in grants:
            shop.send_refund(grant)
        shop.work()
        assert [grant.status for grant in grants] == ["SUCCESS", "SUCCESS"]
        assert shop.other.paid_for(theirs.id) == 60
        assert theirs.charged == -30

    def test_7_the_amount_of_a_refund_without_a_grant_is_cut_in_silence(
        self, shop: Standin, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        request = shop.refund_at_once(ours, "99.00")
        shop.work()
        assert request.amount_value == 30
        assert json.loads(refunds(mine)[0])["action"]["amount"] == 30.0

    def test_8_a_report_before_saleor_wrote_the_answer_down_is_not_linked_and_the_grant_stays_pending(
        self, shop: Standin, app: App, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "30.00")
        mine.says({"pspReference": "r"})
        shop.post.before_taking_in = lambda: shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(30))
        shop.send_refund(grant)
        shop.work()
        assert grant.status == "PENDING"
        assert ours.refunded == 30
        shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(30))
        assert grant.status == "PENDING"

    def test_8_two_requests_in_the_same_moment_show_the_same_event_first(
        self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        app = ours.app
        assert app is not None
        app.webhooks[0].query = "subscription { event { ... on TransactionRefundRequested { transaction { events { idempotencyKey } } } } }"
        grants = [shop.grant(order, ours, "20.00") for _ in range(2)]
        shop.send_refunds_together(grants)
        shop.work()
        first, second = (json.loads(body)["transaction"]["events"][0]["idempotencyKey"] for body in refunds(mine))
        assert first == second

    def test_8_one_grant_pressed_twice_in_the_same_moment_is_asked_for_twice(self, shop: Standin, order: Order) -> None:
        theirs = shop.pay(order)
        grant = shop.grant(order, theirs, "30.00")
        shop.send_refunds_together([grant, grant])
        shop.work()
        assert shop.other.paid_for(theirs.id) == 60

    def test_8_an_app_that_pays_by_the_key_of_the_newest_event_pays_one_of_them_and_the_other_stays_pending(self, shop: Standin) -> None:
        order = shop.add_order(lines=[{"price": "60.00"}])
        theirs = shop.pay(order)
        shop.other.default = "by_key"
        grants = [shop.grant(order, theirs, "40.00") for _ in range(2)]
        shop.send_refunds_together(grants)
        shop.work()
        assert [grant.status for grant in grants] == ["SUCCESS", "PENDING"]
        assert (theirs.refunded, theirs.charged, shop.other.paid_for(theirs.id)) == (40, 20, 40)

    def test_9_a_second_refusal_without_a_reference_is_swallowed_and_the_grant_stays_pending_for_ever(
        self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grants = [shop.grant(order, ours, "10.00") for _ in range(2)]
        for grant in grants:
            mine.says({"result": "REFUND_FAILURE"})
            shop.send_refund(grant)
            shop.work()
        assert [grant.status for grant in grants] == ["FAILURE", "PENDING"]
        with pytest.raises(Refusal, match="in progress"):
            shop.send_refund(grants[1])

    def test_9_an_answer_with_a_success_that_is_known_already_leaves_the_grant_pending(
        self, shop: Standin, app: App, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "10.00")
        mine.says(NoAnswer)
        shop.send_refund(grant)
        shop.work()
        shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(10))
        assert (grant.status, ours.refunded) == ("FAILURE", 10)
        shop.work()  # the order's own events first
        mine.says({"pspReference": "r", "result": "REFUND_SUCCESS"})
        shop.send_refund(grant)
        shop.work()
        assert (grant.status, ours.refunded) == ("PENDING", 10)

    def test_an_answer_that_is_no_object_leaves_the_request_pending(
        self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "30.00")
        mine.answers.append(Answer(200, b"[]"))
        shop.send_refund(grant)
        shop.work()
        assert grant.status == "PENDING"


class TestMoney:
    def test_an_asynchronous_refund_is_pending_until_it_is_reported(
        self, shop: Standin, app: App, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "20.00", lines={order.lines[0].id: 1})
        mine.says({"pspReference": "r"})
        shop.send_refund(grant)
        shop.work()
        assert (ours.charged, ours.refund_pending, ours.refunded, grant.status) == (10, 20, 0, "PENDING")
        shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(20))
        assert (ours.charged, ours.refund_pending, ours.refunded, grant.status) == (10, 0, 20, "SUCCESS")

    def test_a_late_failure_takes_a_success_back_and_a_reversal_names_no_status(
        self, shop: Standin, app: App, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "20.00")
        mine.says({"pspReference": "r"})
        shop.send_refund(grant)
        shop.work()
        shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(20))
        shop.report_as(app, ours, "REFUND_REVERSE", "r", None)
        assert (ours.charged, ours.refunded, grant.status) == (30, 0, "NONE")

    def test_the_refund_of_everything_is_told_as_such_and_leaves_the_status_of_the_order(
        self, shop: Standin, app: App, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(30))
        shop.work()
        assert [headers["Saleor-Event"] for _, _, headers in mine.got] == ["order_refunded", "order_fully_refunded"]
        assert order.status == "UNFULFILLED"

    def test_a_request_is_refused_while_one_is_under_way_and_after_it_was_paid(self, shop: Standin, order: Order) -> None:
        theirs = shop.pay(order)
        shop.other.default = "async"
        grant = shop.grant(order, theirs, "10.00")
        shop.send_refund(grant)
        with pytest.raises(Refusal) as pending:
            shop.send_refund(grant)
        shop.work()
        shop.settle_other()
        with pytest.raises(Refusal) as paid:
            shop.send_refund(grant)
        assert (pending.value.error["code"], paid.value.error["code"]) == ("REFUND_IS_PENDING", "REFUND_ALREADY_PROCESSED")
        assert shop.other.paid_for(theirs.id) == 10

    def test_a_grant_above_the_charge_or_the_quantity_is_refused(self, shop: Standin, order: Order) -> None:
        theirs = shop.pay(order)
        with pytest.raises(Refusal) as amount:
            shop.grant(order, theirs, "30.01")
        with pytest.raises(Refusal) as lines:
            shop.grant(order, theirs, "1.00", lines={order.lines[0].id: 2})
        assert amount.value.error["code"] == "AMOUNT_GREATER_THAN_AVAILABLE"
        assert lines.value.error["lines"][0]["code"] == "QUANTITY_GREATER_THAN_AVAILABLE"
        assert order.granted_refunds == []

    def test_a_grant_makes_the_order_overcharged_until_it_is_paid(self, shop: Standin, order: Order) -> None:
        theirs = shop.pay(order)
        grant = shop.grant(order, theirs, "20.00")
        assert order.charge_status == "OVERCHARGED"
        shop.send_refund(grant)
        shop.work()
        assert order.charge_status == "FULL"

    def test_a_grant_of_less_than_nothing_is_taken(self, shop: Standin, order: Order, ours: TransactionItem) -> None:
        assert shop.grant(order, ours, "-5").status == "NONE"

    def test_a_failure_is_overtaken_by_a_later_success_of_the_same_reference(
        self, shop: Standin, app: App, order: Order, ours: TransactionItem, mine: ScriptedApp
    ) -> None:
        grant = shop.grant(order, ours, "20.00")
        mine.says({"pspReference": "r"})
        shop.send_refund(grant)
        shop.work()
        shop.report_as(app, ours, "REFUND_FAILURE", "r", Decimal(20))
        assert (grant.status, ours.refunded) == ("FAILURE", 0)
        shop.report_as(app, ours, "REFUND_SUCCESS", "r", Decimal(20))
        assert (grant.status, ours.refunded) == ("SUCCESS", 20)

    def test_a_grant_of_nothing_asks_for_everything(self, shop: Standin, order: Order, ours: TransactionItem, mine: ScriptedApp) -> None:
        shop.send_refund(shop.grant(order, ours, "0"))
        shop.work()
        assert json.loads(refunds(mine)[0])["action"]["amount"] == 30.0

    def test_staff_must_name_a_reason_when_reasons_are_pages_and_apps_need_not(
        self, shop: Standin, app: App, order: Order, ours: TransactionItem
    ) -> None:
        shop.add_reasons(["Too late"])
        with pytest.raises(Refusal) as refused:
            shop.grant(order, ours, "1.00", user=shop.add_user("staff@example.com", staff_permissions=EVERYTHING))
        assert refused.value.error["code"] == "REQUIRED"
        made = ask(shop, token_of(app), GRANT, id=order.id, input={"amount": "1.00", "transactionId": ours.id}).json()
        assert made["data"]["orderGrantRefundCreate"]["errors"] == []

    @given(data=st.data())
    def test_what_was_charged_is_always_what_is_left_and_pending_and_refunded(self, data: st.DataObject) -> None:
        shop = Standin("3.23", transport=ScriptedApp())
        try:
            order = shop.add_order(lines=[{"price": "100.00"}])
            item = shop.pay(order)
            references = st.sampled_from(["a", "b", "c"])
            kinds = st.sampled_from(["REFUND_REQUEST", "REFUND_SUCCESS", "REFUND_FAILURE"])
            for kind, reference in data.draw(st.lists(st.tuples(kinds, references), max_size=12)):
                shop.report_as(shop.other.app, item, kind, reference, Decimal("10.00"))
            assert item.charged + item.refund_pending + item.refunded == 100
            assert order.total_charged_value == item.charged
        finally:
            shop.stop()


class TestInstall:
    def test_our_app_is_installed_by_its_manifest_which_is_read_twice(self, saleor: Standin, installed: Installed) -> None:
        assert installed.row.is_active
        assert installed.row.app_id == installed.app.id
        assert "AppRead" in saleor.calls

    def test_an_app_that_refuses_the_token_is_gone_again_and_its_words_are_told(self, shop: Standin, mine: ScriptedApp) -> None:
        manifest = {
            "id": "a",
            "name": "A",
            "version": "1",
            "tokenTargetUrl": "http://app.example/register/",
            "permissions": ["MANAGE_ORDERS"],
        }
        mine.says(manifest, manifest)
        mine.says({"error": {"message": "Not here"}}, status=403)
        with pytest.raises(InstallRefused, match="Not here"):
            shop.install("http://app.example/manifest.json")
        assert [each.identifier for each in shop.world.apps.values()] == ["other.payment.app"]

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"id": ""}, "id"),
            ({"permissions": ["MANAGE_EVERYTHING"]}, "permissions"),
            ({"requiredSaleorVersion": ">=3.99"}, "not supported"),
            ({"tokenTargetUrl": "/register/"}, "tokenTargetUrl"),
            ({"webhooks": [{"name": "w", "targetUrl": "http://a/", "asyncEvents": ["NOTHING"], "query": ORDERS}]}, "events"),
            (
                {"webhooks": [{"name": "w", "targetUrl": "http://a/", "asyncEvents": ["ORDER_UPDATED"], "query": "{ app { id } }"}]},
                "subscription",
            ),
            ({"extensions": [{"label": "x", "url": "/x", "mount": "NOWHERE", "target": "POPUP"}]}, "extension"),
            (
                {"extensions": [{"label": "x", "url": "http://a/", "mount": "NAVIGATION_ORDERS", "permissions": ["MANAGE_USERS"]}]},
                "permission",
            ),
        ],
    )
    def test_a_manifest_that_saleor_would_refuse_is_refused(
        self, shop: Standin, mine: ScriptedApp, change: dict[str, Any], words: str
    ) -> None:
        manifest = {"id": "a", "name": "A", "version": "1", "permissions": [], **change}
        mine.says(manifest, manifest)
        with pytest.raises(InstallRefused, match=words):
            shop.install("http://app.example/manifest.json")
        assert len(shop.world.apps) == 1


class TestDashboard:
    def test_the_token_of_a_widget_is_signed_lives_five_minutes_and_names_what_app_and_user_both_may(self, shop: Standin, app: App) -> None:
        staff = shop.add_user("sam@example.com", staff_permissions=["MANAGE_ORDERS", "MANAGE_USERS"])
        form = shop.widget_form(staff, app, orderId="T3JkZXI6MQ==")
        claims = jwt.decode(form["accessToken"], jwt.PyJWK(shop.jwks()["keys"][0]).key, ["RS256"])
        assert form == {"saleorApiUrl": shop.api_url, "accessToken": form["accessToken"], "appId": app.id, "orderId": "T3JkZXI6MQ=="}
        assert claims["exp"] - claims["iat"] == 300
        assert (claims["iss"], claims["app"], claims["user_id"], claims["email"]) == (shop.api_url, app.id, staff.id, staff.email)
        assert (claims["permissions"], claims["user_permissions"]) == (["MANAGE_ORDERS"], ["MANAGE_ORDERS", "MANAGE_USERS"])


class TestCredit:
    def test_a_voucher_is_worth_something_only_where_it_is_listed(self, shop: Standin) -> None:
        seller = shop.add_app(permissions=["MANAGE_DISCOUNTS"], identifier="seller")
        made = ask(shop, token_of(seller), VOUCHER, input={"addCodes": ["X"], "singleUse": True, "usageLimit": 1}).json()["data"][
            "voucherCreate"
        ]
        assert made["voucher"]["channelListings"] == []
        channel = shop.world.channels["default-channel"]["id"]
        listed = ask(
            shop,
            token_of(seller),
            LISTING,
            id=made["voucher"]["id"],
            input={"addChannels": [{"channelId": channel, "discountValue": "5.00"}]},
        )
        assert listed.json()["data"]["voucherChannelListingUpdate"]["voucher"]["channelListings"] == [
            {"discountValue": 5.0, "currency": "EUR"}
        ]
        again = ask(shop, token_of(seller), VOUCHER, input={"addCodes": ["X"]}).json()["data"]["voucherCreate"]
        assert again["errors"] == [{"code": "ALREADY_EXISTS"}]

    @pytest.mark.parametrize(("code", "error"), [("SHORT-1", "INVALID"), ("A" * 17, "INVALID"), ("TAKEN-CODE", "ALREADY_EXISTS")])
    def test_a_gift_cards_code_has_eight_to_sixteen_characters_and_is_no_vouchers(self, shop: Standin, code: str, error: str) -> None:
        seller = shop.add_app(permissions=["MANAGE_DISCOUNTS", "MANAGE_GIFT_CARD"], identifier="seller")
        ask(shop, token_of(seller), VOUCHER, input={"addCodes": ["TAKEN-CODE"]})
        asked = {"code": code, "balance": {"amount": "5.00", "currency": "EUR"}, "isActive": True}
        made = ask(shop, token_of(seller), CARD, input=asked).json()["data"]["giftCardCreate"]
        assert made == {"giftCard": None, "errors": [{"code": error}]}
        asked["code"] = "GOOD-CODE-1"
        assert ask(shop, token_of(seller), CARD, input=asked).json()["data"]["giftCardCreate"]["errors"] == []
        again = ask(shop, token_of(seller), VOUCHER, input={"addCodes": ["GOOD-CODE-1"]}).json()["data"]["voucherCreate"]
        assert again["errors"] == [{"code": "ALREADY_EXISTS"}]

    def test_metadata_belongs_to_those_who_may_change_its_object(self, shop: Standin, app: App, order: Order) -> None:
        line: Thing = order.lines[0]
        assert ask(shop, token_of(app), METADATA, id=line.id).json()["data"]["updatePrivateMetadata"]["item"] == {
            "privateMetafield": "used"
        }
        nobody = shop.add_app(permissions=["MANAGE_DISCOUNTS"], identifier="nobody")
        line.private_metadata.clear()
        assert "MANAGE_ORDERS" in ask(shop, token_of(nobody), METADATA, id=line.id).json()["errors"][0]["message"]
        assert line.private_metadata == {}
