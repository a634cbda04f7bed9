"""The GraphQL documents are found, and operations bring the fragments they need."""

from __future__ import annotations

import pytest

from refund_plugin import documents


def test_the_folder_holds_the_schema_and_the_storefronts_operations():
    assert "type Query" in documents.document("schema")
    assert "storefront/RefundQuote" in documents.operation_names("storefront")
    assert "storefront/fragments" not in documents.operation_names("storefront")


def test_an_operation_brings_the_fragments_it_needs_also_indirectly_and_no_others():
    text = documents.operation("storefront/RefundQuote")
    defined = {line.split()[1] for line in text.splitlines() if line.startswith("fragment ")}
    assert defined == {"RefundQuoteParts", "RefundVerdictParts", "RefundMoney", "RefundErrorParts"}


def test_a_document_that_does_not_exist_is_told():
    with pytest.raises(FileNotFoundError):
        documents.document("storefront/Nothing")


def test_the_python_package_graphql_is_not_our_folder():
    import graphql

    assert hasattr(graphql, "parse")
    assert str(documents.source_folder()) not in str(graphql.__file__)
