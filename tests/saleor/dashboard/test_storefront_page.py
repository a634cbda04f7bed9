"""What docs/storefront.md shows: its operations are those of the package, with the values the schema knows."""

from __future__ import annotations

import re

from graphql import GraphQLEnumType, build_schema

from refund_plugin import documents
from refund_plugin.client import RefundClient
from tests.documented import ROOT

TEXT = (ROOT / "docs" / "storefront.md").read_text()


def test_every_operation_that_is_sent_or_named_exists():
    named = set(re.findall(r"\b(?:refunds|mine)\(\"(\w+)\"", TEXT)) | set(re.findall(r"`(Refund[A-Z]\w+)`", TEXT))
    assert {"RefundQuote", "RefundRequestCreate", "RefundRequest"} <= named
    assert named <= {name.partition("/")[2] for name in documents.operation_names("storefront")}


def test_the_variables_and_fields_that_the_page_uses_are_those_of_the_operations():
    create = documents.operation("storefront/RefundRequestCreate")
    schema = build_schema(documents.document("schema"))
    wanted = schema.get_type("RefundRequestCreateInput").fields  # type: ignore[union-attr]
    named = re.search(r"const named = \[(.*?)\]", TEXT)
    assert named is not None and set(re.findall(r'"(\w+)"', named[1])) | {"lines", "channel"} <= set(wanted)
    assert "$input" in create
    quote, tracked = documents.operation("storefront/RefundQuote"), documents.operation("storefront/RefundRequest")
    for field in ("promise", "askable", "headline", "explanation", "quantity", "outcome"):
        assert re.search(rf"\b{field}\b", quote), field
    for field in ("reference", "nextStep", "timeline", "trackingUrl", "isFinal"):
        assert re.search(rf"\b{field}\b", tracked), field


def test_the_reasons_to_choose_from_are_all_that_the_schema_knows():
    reasons = build_schema(documents.document("schema")).get_type("RefundReason")
    assert isinstance(reasons, GraphQLEnumType)
    assert re.findall(r'<option value="(\w+)">', TEXT) == list(reasons.values)


def test_the_python_client_has_what_is_shown():
    for method in re.findall(r"client\.(\w+)\(", TEXT):
        assert callable(getattr(RefundClient, method))
