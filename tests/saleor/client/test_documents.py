"""Every document is one that each version of Saleor understands; also what is always true of them."""

from __future__ import annotations

import re

import pytest
from graphql import GraphQLSchema, NonNullTypeNode, OperationDefinitionNode, OperationType, parse, validate

from refund_plugin import documents
from refund_plugin.saleor import operations
from refund_plugin.saleor.errors import SaleorVersionUnsupported
from refund_plugin.saleor.versions import NEWEST, OLDEST, Version
from tests.saleor.published import published_schema

VERSIONS = [Version(3, minor) for minor in range(OLDEST.minor, NEWEST.minor + 1)]
SUBSCRIPTIONS = documents.operation_names("saleor/subscriptions")


def asked(name: str, version: Version) -> OperationDefinitionNode:
    nodes = [node for node in operations.operation(name, version).document.definitions if isinstance(node, OperationDefinitionNode)]
    assert len(nodes) == 1
    return nodes[0]


def complaints(schema: GraphQLSchema, name: str, version: Version) -> list[str]:
    return [error.message for error in validate(schema, operations.operation(name, version).document)]


@pytest.mark.parametrize("name", operations.names())
@pytest.mark.parametrize("version", ["3.22", "3.23"])
def test_a_document_is_valid_against_the_published_schema(version: str, name: str) -> None:
    assert complaints(published_schema(version), name, Version(3, int(version.partition(".")[2]))) == []


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
@pytest.mark.parametrize("version", ["3.22", "3.23"])
def test_a_subscription_is_valid_against_the_published_schema(version: str, name: str) -> None:
    assert [error.message for error in validate(published_schema(version), parse(documents.document(name)))] == []


def test_what_a_version_lacks_is_found_by_the_validation() -> None:
    """The digital content of 3.22 is gone in 3.23: the older document must not pass there."""
    assert complaints(published_schema("3.23"), "OrderById", Version(3, 22)) != []


@pytest.mark.parametrize("name", operations.names())
def test_a_document_holds_one_operation_that_is_named_as_its_file(name: str) -> None:
    for version in VERSIONS:
        if version >= operations.since(name):
            found = asked(name, version)
            assert found.name is not None and found.name.value == name
            assert operations.operation(name, version).is_mutation is (found.operation is OperationType.MUTATION)


@pytest.mark.parametrize("name", operations.names())
def test_a_variable_with_a_default_may_be_null_because_saleor_refuses_it_otherwise(name: str) -> None:
    for variable in asked(name, NEWEST).variable_definitions or ():
        assert variable.default_value is None or not isinstance(variable.type, NonNullTypeNode)


@pytest.mark.parametrize("name", operations.names())
def test_an_operation_sends_each_fragment_it_needs_once_and_no_other(name: str) -> None:
    for version in VERSIONS:
        if version >= operations.since(name):
            nodes = operations.operation(name, version).document.definitions
            fragments = [node.name.value for node in nodes if not isinstance(node, OperationDefinitionNode)]  # type: ignore[attr-defined]
            assert len(fragments) == len(set(fragments))
            assert set(fragments) == operations._needed(name, version)


def test_a_mutation_asks_for_its_errors_with_code_field_and_message() -> None:
    for name in operations.names():
        if operations.operation(name, NEWEST).is_mutation:
            text = documents.document(f"saleor/{name}")
            assert re.search(r"errors \{\s+field\s+message\s+code", text), name


def test_an_event_is_reported_without_a_time_because_one_before_the_request_leaves_the_refund_pending() -> None:
    """Trap 4 of what was seen on a running Saleor."""
    variables = [variable.variable.name.value for variable in asked("TransactionEventReport", NEWEST).variable_definitions or ()]
    assert "time" not in variables
    assert not re.search(r"\btime\s*:", documents.document("saleor/TransactionEventReport"))


def test_no_document_asks_for_the_action_that_clamps_a_refund() -> None:
    """Trap 7: transactionRequestAction refunds less than was asked for and says nothing; it is used for cancelling alone."""
    users = [name for name in operations.names() if "transactionRequestAction" in documents.document(f"saleor/{name}")]
    assert users == ["TransactionRequestCancel"]
    assert "actionType: CANCEL" in documents.document("saleor/TransactionRequestCancel")


def test_a_document_that_an_older_saleor_does_not_know_is_refused_before_it_is_sent() -> None:
    assert operations.since("RefundReasonType") == Version(3, 22)
    with pytest.raises(SaleorVersionUnsupported):
        operations.operation("RefundReasonType", Version(3, 21))


def test_a_document_that_does_not_exist_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        operations.operation("Nothing", NEWEST)
