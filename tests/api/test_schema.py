"""The public contract: exported, documented, complete, and usable inside a host's own schema."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
import strawberry
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from graphql import GraphQLObjectType, build_schema, parse, validate
from strawberry.schema.config import StrawberryConfig

from refund_plugin import documents, errors
from refund_plugin.api.errors import RefundErrorCode, answer, camel
from refund_plugin.api.schema import SCALAR_MAP, Mutation, Query, extensions, schema
from tests.api.helpers import question
from tests.factories import make_purchase

INTERNAL = {"GATEWAY_MISCONFIGURED", "GATEWAY_IN_TRANSACTION", "WEBHOOK_REJECTED"}


def all_codes(of: type[errors.RefundPluginError] = errors.RefundPluginError) -> set[str]:
    return {of.code}.union(*(all_codes(sub) for sub in of.__subclasses__() if sub.__module__ == "refund_plugin.errors"))


def test_every_error_a_caller_can_meet_has_its_code():
    assert {code.name for code in RefundErrorCode} == all_codes() - INTERNAL


@pytest.mark.parametrize("name", documents.operation_names("storefront"))
def test_every_storefront_operation_fits_the_exported_schema(name):
    exported = build_schema(documents.document("schema"))
    assert validate(exported, parse(documents.operation(name))) == []
    assert name.endswith(parse(documents.document(name)).definitions[0].name.value)


def test_answers_are_in_saleors_form():
    exported = build_schema(documents.document("schema"))
    for name, field in exported.mutation_type.fields.items():
        payload = field.type.of_type
        assert isinstance(payload, GraphQLObjectType)
        assert payload.name == name[0].upper() + name[1:]
        assert str(payload.fields["errors"].type) == "[RefundError!]!"
    assert str(exported.type_map["RefundError"].fields["code"].type) == "RefundErrorCode!"
    assert {"currency", "amount", "minorAmount"} <= set(exported.type_map["Money"].fields)


def test_field_names_of_errors_are_spelled_as_in_the_schema():
    assert [camel(name) for name in ("lines", "order_number", "client_key")] == ["lines", "orderNumber", "clientKey"]


def test_a_defect_is_not_answered_as_data():
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        answer(SimpleNamespace, "refund_request", broken)


@strawberry.type
class HostQuery(Query):
    """A host's own fields beside ours."""

    @strawberry.field
    def shop(self) -> str:
        """The host's."""
        return "Paper Heron"


@pytest.fixture
def host_schema() -> strawberry.Schema:
    return strawberry.Schema(HostQuery, Mutation, config=StrawberryConfig(scalar_map=dict(SCALAR_MAP)), extensions=extensions())


def web_request():
    request = RequestFactory().post("/api/")
    request.user = AnonymousUser()
    return request


@pytest.mark.parametrize("as_context", [lambda request: {"request": request}, lambda request: SimpleNamespace(request=request)])
def test_a_host_mounts_query_and_mutation_in_its_own_schema(policy, host_schema, as_context):
    query = documents.operation("storefront/RefundRequestCreate")
    result = host_schema.execute_sync(query, question(make_purchase()), context_value=as_context(web_request()))
    assert result.errors is None
    assert result.data["refundRequestCreate"]["refundRequest"]["status"] == "APPROVED"
    told = host_schema.execute_sync("{ shop refundPolicy { title } }", context_value=as_context(web_request()))
    assert told.data == {"shop": "Paper Heron", "refundPolicy": {"title": "Refunds"}}


@pytest.mark.django_db(transaction=True)
def test_a_host_with_an_asynchronous_server_gets_the_same_answers(policy, host_schema):
    variables = question(make_purchase())

    async def ask():
        context = {"request": web_request()}
        asked = await host_schema.execute(documents.operation("storefront/RefundRequestCreate"), variables, context_value=context)
        token = asked.data["refundRequestCreate"]["refundRequest"]["trackingToken"]
        return await host_schema.execute(documents.operation("storefront/RefundRequest"), {"token": token}, context_value=context)

    followed = asyncio.run(ask())
    assert followed.errors is None
    assert followed.data["refundRequest"]["amount"]["minorAmount"] == 1820


def test_operations_keep_their_names():
    names = set(schema.as_str().split())
    for name in ("refundRequestCreate(input:", "refundRequestCancel(", "refundRequestApprove(", "refundRequestDecline(", "refundQuote("):
        assert name in names
