"""One query may ask for so much and no more, and an attack on the limits themselves costs nothing."""

from __future__ import annotations

import logging

import pytest
from graphql import get_introspection_query

from refund_plugin.orders import lookup


def failure(answer) -> str:
    assert answer.body["data"] is None
    return answer.failure["message"]


def test_a_query_that_is_nested_too_deeply_is_refused(send, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "GRAPHQL_MAX_DEPTH": 3}
    assert send('{ refundRequest(token: "x") { amount { minorAmount } } }').data is None
    assert "3 levels" in failure(send('{ refundRequest(token: "x") { lines { line { sku } } } }'))


@pytest.mark.parametrize(("setting", "limit", "reason"), [("GRAPHQL_MAX_DEPTH", 2, "2 levels"), ("GRAPHQL_MAX_TOKENS", 9, "9 tokens")])
def test_a_query_that_was_answered_before_is_measured_again_when_a_limit_changes(send, settings, setting, limit, reason):
    query = '{ refundRequest(token: "x") { amount { minorAmount } } }'
    assert not send(query).body.get("errors")
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, setting: limit}
    assert reason in failure(send(query))


@pytest.mark.parametrize("query", ["{ nothing }", "{ refundPolicy { title }", "{ refundRequest(id: 5.5) { id } }"])
def test_a_wrong_query_gets_the_same_answer_however_often_it_comes(send, query):
    first = send(query).body
    assert first["errors"]
    assert [send(query).body for _time in range(2)] == [first, first]


def test_a_query_is_read_once_and_answered_each_time_with_its_own_variables(send, monkeypatch):
    query = "query($key: String!) { refundRequest(token: $key) { reference } other: __typename }"
    send(query, {"key": "x"})

    def read_again(*args, **kwargs):
        raise AssertionError("a query that is remembered was read again")

    monkeypatch.setattr("strawberry.schema.schema.parse", read_again)
    monkeypatch.setattr("strawberry.schema.schema.validate", read_again)
    assert send(query, {"key": "y"}).body == {"data": {"refundRequest": None, "other": "Query"}}
    assert send(query).body["errors"]  # a variable is missing


def test_depth_is_counted_through_fragments(send, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "GRAPHQL_MAX_DEPTH": 3}
    query = """
    { refundRequest(token: "x") { ...A } }
    fragment A on RefundRequest { lines { ... on RefundRequestLine { ...B } } }
    fragment B on RefundRequestLine { line { sku } }
    """
    assert "3 levels" in failure(send(query))


def test_a_query_with_too_many_tokens_is_refused(send, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "GRAPHQL_MAX_TOKENS": 20}
    assert send('{ refundRequest(token: "x") { reference } }').data is None
    assert "20 tokens" in failure(send('{ refundRequest(token: "x") { ' + "reference " * 20 + "} }"))


def test_aliases_are_counted_wherever_a_fragment_is_spread(send):
    body = "a: reference b: status c: reason d: message"
    spread = " ".join(f'q{n}: refundRequest(token: "x") {{ ...F }}' for n in range(4))
    assert "aliases" in failure(send(f"{{ {spread} }} fragment F on RefundRequest {{ {body} }}"))


def test_fields_are_counted_wherever_a_fragment_is_spread(send):
    query = f'{{ refundRequest(token: "x") {{ {"...F " * 31} }} }} fragment F on RefundRequest {{ {"reference " * 10} }}'
    assert "300 fields" in failure(send(query))


def test_fragments_that_spread_each_other_twice_are_measured_once_each(send):
    # walked at every spread, these would be 2^45 fields
    fragments = " ".join(f"fragment F{n} on RefundRequest {{ ...F{n + 1} ...F{n + 1} }}" for n in range(45))
    query = f'{{ refundRequest(token: "x") {{ ...F0 }} }} {fragments} fragment F45 on RefundRequest {{ reference }}'
    assert "300 fields" in failure(send(query))


@pytest.mark.parametrize(
    "query",
    [
        "{ " + "refundPolicy { nothing } " * 151 + "}",
        "{ refundPolicy { title } } fragment Unused on RefundPolicy { " + "nothing " * 301 + "}",
        "{ " + "__typename " * 301 + "nothing }",
    ],
)
def test_what_is_too_large_never_reaches_the_rules_that_would_be_slow(send, query, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "GRAPHQL_MAX_TOKENS": 5000}
    answer = send(query)
    assert "300 fields" in failure(answer)  # and not a word of the field that does not exist


def test_a_query_of_a_thousand_small_words_is_refused_unless_the_host_allows_it(send):
    assert "600 tokens" in failure(send("{ " + "__typename " * 1000 + "}"))


def test_fragments_in_a_circle_are_refused(send):
    query = '{ refundRequest(token: "x") { ...A } } fragment A on RefundRequest { ...B } fragment B on RefundRequest { ...A }'
    assert send(query).body["errors"]


def test_braces_that_never_end_are_refused(send):
    assert send("{ a " * 900).body["errors"]


def test_a_schema_can_be_read_in_whole_by_tools(send):
    answer = send(get_introspection_query())
    assert "refundRequestCreate" in {
        field["name"] for kind in answer.data["types"] if kind["name"] == "Mutation" for field in kind["fields"]
    }


def test_a_defect_is_logged_and_its_text_stays_inside(send, policy, monkeypatch, caplog):
    def broken(**kwargs):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(lookup, "find_purchase", broken)
    with caplog.at_level(logging.ERROR):
        answer = send("RefundQuote", {"orderNumber": "1", "email": "ada@example.com"})
    assert failure(answer) == "Something went wrong. Please try again."
    assert "secret detail" not in str(answer.body)
    assert any("secret detail" in record.exc_text for record in caplog.records if record.exc_text)


@pytest.mark.parametrize(
    "query", ["{ nothing }", "{ refundRequest(id: 5.5) { id } }", "mutation {", "query Q($x: Int!) { refundPolicy { title } }"]
)
def test_a_wrong_query_is_told_and_not_logged(send, caplog, query):
    with caplog.at_level(logging.ERROR):
        assert send(query).body["errors"][0]["message"] != "Something went wrong. Please try again."
    assert not caplog.records
