"""Every way in which a call can fail has an error of its own, which says whether a mutation may have run."""

from __future__ import annotations

import logging
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from refund_plugin.saleor import transport
from refund_plugin.saleor.client import SaleorClient
from refund_plugin.saleor.errors import (
    AddressRefused,
    SaleorAnswerTooLong,
    SaleorCostExceeded,
    SaleorError,
    SaleorPermissionDenied,
    SaleorRateLimited,
    SaleorRefused,
    SaleorTokenInvalid,
    SaleorUnreachable,
    SaleorVersionUnsupported,
)
from tests.saleor.client.conftest import TOKEN, Caller, Said, ScriptedSaleor

READ = {"name": "CustomerById", "variables": {"id": "VXNlcjox"}}
CHANGE = {"name": "UpdateMetadata", "variables": {"id": "T3JkZXI6MQ==", "input": []}}
GRANT = {"name": "OrderGrantRefundCreate", "variables": {"id": "T3JkZXI6MQ==", "input": {"amount": Decimal("18.20")}}}


def error(message: str, code: str = "", **more: object) -> dict[str, Any]:
    return {"message": message, "extensions": {"exception": {"code": code}}, **more}


def denied(*permissions: str, **more: object) -> dict[str, Any]:
    return error(f"To access this path, you need one of the following permissions: {', '.join(permissions)}", "PermissionDenied", **more)


def app(*permissions: str) -> Said:
    node = {"id": "QXBwOjE=", "identifier": "refunds", "name": "Refunds", "version": "1", "isActive": True}
    granted = [{"code": name} for name in permissions]
    return Said({"data": {"app": {**node, "permissions": granted}, "shop": {"name": "Shop", "version": "3.23.1"}}})


def test_an_answer_is_returned_with_exact_decimals_and_the_token_is_sent(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said(body=b'{"data": {"user": {"credit": 18.10, "units": 3}}}'))
    answer = caller.execute(saleor.url, **READ)
    assert answer == {"user": {"credit": Decimal("18.10"), "units": 3}}
    assert str(answer["user"]["credit"]) == "18.10"
    (asked,) = saleor.asked
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert (asked.path, asked.operation, asked.payload["variables"]) == ("/graphql/", "CustomerById", {"id": "VXNlcjox"})


def test_decimals_are_sent_as_text_so_that_no_binary_float_is_ever_made_of_them(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said({"data": {"orderGrantRefundCreate": {"grantedRefund": None, "errors": []}}}))
    caller.execute(saleor.url, **GRANT)
    assert saleor.asked[0].payload["variables"]["input"] == {"amount": "18.20"}


@pytest.mark.parametrize(
    "said",
    [
        Said(status=502, body=b"<html>Bad gateway</html>", content_type="text/html"),
        Said(status=200, body=b"<html>Sign in</html>", content_type="text/html"),
        Said(status=200, body=b'{"data": {"use'),
        Said(status=200, body=b"[" * 100_000),
        Said(status=200, body=b"[]"),
        Said(status=200, body=b"{}"),
        Said(status=200, body=b'{"data": 7}'),
        Said(drops=True),
        Said({"errors": [error("Internal Server Error", "OperationalError")], "data": {"user": None}}),
    ],
    ids=["bad gateway", "a page", "cut off", "deep", "a list", "nothing", "a number", "hangs up", "internal error"],
)
def test_garbage_and_silence_are_unreachable_and_a_mutation_may_have_run(saleor: ScriptedSaleor, caller: Caller, said: Said) -> None:
    saleor.says(said)
    with pytest.raises(SaleorUnreachable) as read:
        caller.execute(saleor.url, **READ)
    assert (read.value.operation, read.value.maybe_executed) == ("CustomerById", False)
    with pytest.raises(SaleorUnreachable) as changed:
        caller.execute(saleor.url, **CHANGE)
    assert (changed.value.operation, changed.value.maybe_executed) == ("UpdateMetadata", True)


def test_a_read_is_tried_again_with_growing_pauses_and_a_mutation_is_not(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said(status=503, document={}))
    with pytest.raises(SaleorUnreachable):
        caller.execute(saleor.url, **READ)
    assert len(saleor.asked) == 3
    assert caller.slept == [0.8, 1.6]
    with pytest.raises(SaleorUnreachable):
        caller.execute(saleor.url, **CHANGE)
    assert len(saleor.asked) == 4


def test_a_read_that_fails_once_succeeds_unnoticed(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said(drops=True), Said({"data": {"user": None}}))
    assert caller.execute(saleor.url, **READ) == {"user": None}


def test_silence_ends_after_the_time_given_and_a_mutation_may_have_run(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said(hangs=True))
    with pytest.raises(SaleorUnreachable) as caught:
        caller.execute(saleor.url, **CHANGE, timeout_seconds=0.2)
    assert caught.value.maybe_executed


def test_a_trickle_ends_after_the_time_given_too(saleor: ScriptedSaleor, caller: Caller) -> None:
    """Each byte comes in time, and all of them never."""
    saleor.says(Said(body=b'{"data": "' + b"x" * 100_000 + b'"}', trickles=True))
    with pytest.raises(SaleorUnreachable) as caught:
        caller.execute(saleor.url, **CHANGE, timeout_seconds=0.3)
    assert caught.value.maybe_executed


def test_a_refused_connection_means_that_a_mutation_surely_did_not_run(caller: Caller) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else can begin to
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/graphql/"
        with pytest.raises(SaleorUnreachable) as caught:
            caller.execute(url, **CHANGE)
    assert not caught.value.maybe_executed


def test_an_answer_longer_than_ten_megabytes_is_not_read_to_its_end(
    saleor: ScriptedSaleor, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport.MAX_ANSWER_BYTES == 10_000_000
    saleor.says(Said(body=b'{"data": "' + b"x" * transport.MAX_ANSWER_BYTES + b'"}'))
    with pytest.raises(SaleorAnswerTooLong) as caught:
        caller.execute(saleor.url, **CHANGE)
    assert caught.value.maybe_executed
    with pytest.raises(SaleorAnswerTooLong):
        caller.execute(saleor.url, **READ)
    assert len(saleor.asked) == 2  # not tried again: it would be as long


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_redirect_is_not_followed_so_the_token_goes_nowhere_else(saleor: ScriptedSaleor, caller: Caller, status: int) -> None:
    saleor.says(Said(status=status, headers={"Location": f"{saleor.url}elsewhere/"}, document={}))
    with pytest.raises(SaleorUnreachable) as caught:
        caller.execute(saleor.url, **CHANGE)
    assert [asked.path for asked in saleor.asked] == ["/graphql/"]
    assert not caught.value.maybe_executed


def test_a_refusal_names_code_field_and_lines(saleor: ScriptedSaleor, caller: Caller) -> None:
    lines = [{"lineId": "TGluZTox", "field": "quantity", "message": "Too many.", "code": "QUANTITY_GREATER_THAN_AVAILABLE"}]
    refused = {"field": "lines", "message": "Look at the lines.", "code": "INVALID", "lines": lines}
    saleor.says(Said({"data": {"orderGrantRefundCreate": {"grantedRefund": None, "errors": [refused]}}}))
    with pytest.raises(SaleorRefused) as caught:
        caller.execute(saleor.url, **GRANT)
    assert (caught.value.code, caught.value.field, caught.value.errors[0].line_ids) == ("INVALID", "lines", ("TGluZTox",))
    assert not caught.value.maybe_executed
    assert str(caught.value) == "OrderGrantRefundCreate: Look at the lines."


def test_a_lost_permission_is_named_and_those_we_have_are_not(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said({"errors": [denied("MANAGE_USERS", "MANAGE_ORDERS", "OWNER")], "data": {"user": None}}))
    saleor.by_operation["AppRead"] = app("HANDLE_PAYMENTS", "MANAGE_USERS")
    with pytest.raises(SaleorPermissionDenied) as caught:
        caller.execute(saleor.url, **READ)
    assert caught.value.permissions == ("MANAGE_ORDERS", "OWNER")
    assert "MANAGE_ORDERS" in str(caught.value)


def test_what_is_denied_at_the_door_did_not_run_and_what_is_denied_in_the_answer_did(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.by_operation["AppRead"] = app()
    for path, ran in ((["updateMetadata"], False), (["updateMetadata", "item", "id"], True)):
        saleor.says(Said({"errors": [denied("MANAGE_ORDERS", path=path)], "data": {"updateMetadata": None}}))
        with pytest.raises(SaleorPermissionDenied) as caught:
            caller.execute(saleor.url, **CHANGE)
        assert caught.value.maybe_executed is ran


@pytest.mark.parametrize(
    "who",
    [
        Said({"errors": [denied("AUTHENTICATED_STAFF_USER", "AUTHENTICATED_APP")], "data": {"app": None}}),
        Said({"data": {"app": None, "shop": {"name": "Shop", "version": "3.23.1"}}}),
    ],
    ids=["denied", "nobody"],
)
def test_the_token_of_a_removed_app_is_told_from_one_that_may_too_little(saleor: ScriptedSaleor, caller: Caller, who: Said) -> None:
    saleor.says(Said({"errors": [denied("MANAGE_ORDERS")], "data": {"user": None}}))
    saleor.by_operation["AppRead"] = who
    with pytest.raises(SaleorTokenInvalid) as caught:
        caller.execute(saleor.url, **READ)
    assert caught.value.operation == "CustomerById"


@pytest.mark.parametrize(
    "said",
    [
        Said({"errors": [error("Signature has expired", "ExpiredSignatureError")]}, status=400),
        Said({"errors": [error("Storefront traffic is not allowed.")]}, status=401),
        Said(status=401, body=b"", content_type="text/plain"),
    ],
    ids=["expired", "blocked", "bare"],
)
def test_a_token_that_is_refused_is_no_outage(saleor: ScriptedSaleor, caller: Caller, said: Said) -> None:
    saleor.says(said)
    with pytest.raises(SaleorTokenInvalid):
        caller.execute(saleor.url, **READ)
    assert len(saleor.asked) == 1


def test_a_query_that_costs_too_much_says_how_much(saleor: ScriptedSaleor, caller: Caller) -> None:
    cost = {"requestedQueryCost": 61_000, "maximumAvailable": 50_000}
    told = {
        **error("The query exceeds the maximum cost.", "QueryCostError"),
        "extensions": {"cost": cost, "exception": {"code": "QueryCostError"}},
    }
    saleor.says(Said({"errors": [told], "extensions": {"cost": cost}}, status=400))
    with pytest.raises(SaleorCostExceeded) as caught:
        caller.execute(saleor.url, **READ)
    assert (caught.value.cost, caught.value.limit) == (61_000, 50_000)


def test_a_short_rate_limit_is_waited_for_by_reads_and_a_long_one_is_told(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said(status=429, headers={"Retry-After": "2"}, document={}), Said({"data": {"user": None}}))
    assert caller.execute(saleor.url, **READ) == {"user": None}
    assert caller.slept == [2.0]
    saleor.says(Said(status=429, headers={"Retry-After": "600"}, document={}))
    with pytest.raises(SaleorRateLimited) as caught:
        caller.execute(saleor.url, **READ)
    assert caught.value.retry_after_seconds == 600
    with pytest.raises(SaleorRateLimited) as changed:
        caller.execute(saleor.url, **CHANGE)
    assert not changed.value.maybe_executed
    assert caller.slept == [2.0]


def test_an_update_of_saleor_is_noticed_and_the_query_sent_as_the_new_version_understands_it(
    saleor: ScriptedSaleor, caller: Caller
) -> None:
    unknown = error("Cannot query field 'digitalContentUrl' on type 'OrderLine'.", "GraphQLError")
    saleor.says(Said({"errors": [unknown]}, status=400), Said({"data": {"order": None}}))
    saleor.by_operation["ShopVersion"] = Said({"data": {"shop": {"version": "3.23.28"}}})
    variables = {"id": "T3JkZXI6MQ==", "metadataKeys": []}
    assert caller.execute(saleor.url, "OrderById", version="3.22.67", variables=variables) == {"order": None}
    assert caller.versions == ["3.23.28"]
    first, _version, second = saleor.asked
    assert "digitalContentUrl" in first.payload["query"]
    assert "digitalContentUrl" not in second.payload["query"]


def test_a_query_that_the_same_version_rejects_is_not_sent_for_ever(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said({"errors": [error("Cannot query field 'x' on type 'Order'.", "GraphQLError")]}, status=400))
    saleor.by_operation["ShopVersion"] = Said({"data": {"shop": {"version": "3.23.28"}}})
    with pytest.raises(SaleorError) as caught:
        caller.execute(saleor.url, "OrderById", variables={"id": "T3JkZXI6MQ==", "metadataKeys": []})
    assert not caught.value.maybe_executed
    assert len(saleor.asked) == 2


def test_the_version_is_asked_for_only_where_it_matters(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.says(Said({"data": {"user": None}}))
    saleor.by_operation["ShopVersion"] = Said({"data": {"shop": {"version": "3.20.119"}}})
    caller.execute(saleor.url, **READ, version="")
    assert [asked.operation for asked in saleor.asked] == ["CustomerById"]
    saleor.says(Said({"data": {"order": None}}))
    caller.execute(saleor.url, "OrderById", version="", variables={"id": "T3JkZXI6MQ==", "metadataKeys": []})
    assert [asked.operation for asked in saleor.asked[1:]] == ["ShopVersion", "OrderById"]


def test_a_saleor_that_is_too_old_is_refused_with_what_to_do(saleor: ScriptedSaleor, caller: Caller) -> None:
    saleor.by_operation["ShopVersion"] = Said({"data": {"shop": {"version": "3.19.4"}}})
    with pytest.raises(SaleorVersionUnsupported, match=r"version 3\.19, .* needs 3\.20 or newer\. Update Saleor"):
        caller.execute(saleor.url, "OrderById", version="", variables={"id": "T3JkZXI6MQ==", "metadataKeys": []})
    with pytest.raises(SaleorVersionUnsupported, match=r"needs Saleor 3\.22 or newer"):
        caller.execute(saleor.url, "RefundReasonType", version="3.21.4")


def test_a_newer_saleor_is_warned_of_and_tried(saleor: ScriptedSaleor, caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    from refund_plugin.saleor import versions

    versions._warn.cache_clear()
    saleor.says(Said({"data": {"order": None}}))
    with caplog.at_level(logging.WARNING, "refund_plugin.saleor"):
        caller.execute(saleor.url, "OrderById", version="3.24.0-a.3", variables={"id": "T3JkZXI6MQ==", "metadataKeys": []})
    assert "Saleor 3.24 is newer than 3.23" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/graphql/",
        "ftp://shop.example/",
        "https://name:word@shop.example/graphql/",
        "https:///graphql/",
        "",
        "shop.example",
    ],
)
def test_a_token_is_sent_to_no_address_that_anybody_could_read_it_at(url: str) -> None:
    with pytest.raises(AddressRefused):
        SaleorClient(url, TOKEN)


def test_neither_a_representation_nor_a_log_nor_an_error_holds_the_token(
    saleor: ScriptedSaleor, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    saleor.says(Said(drops=True))
    with caplog.at_level(logging.DEBUG, "refund_plugin"), pytest.raises(SaleorUnreachable) as caught:
        caller.execute(saleor.url, **CHANGE)
    assert TOKEN not in caplog.text + repr(caught.value) + str(caught.value)
    client = SaleorClient(saleor.url, TOKEN)
    assert TOKEN not in repr(client) + repr(vars(client)) + repr(vars(client._transport))
    client.close()


def test_a_password_of_the_machine_is_sent_to_nobody(
    saleor: ScriptedSaleor, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "netrc"
    kept.write_text("machine 127.0.0.1 login name password word\n")
    kept.chmod(0o600)
    monkeypatch.setenv("NETRC", str(kept))
    saleor.says(Said({"data": {"user": None}}))
    caller.execute(saleor.url, **READ)
    SaleorClient(saleor.url, "").execute("CustomerById", id="VXNlcjox")
    assert [asked.headers.get("authorization") for asked in saleor.asked] == [f"Bearer {TOKEN}", None]
