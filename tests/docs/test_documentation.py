"""What the documents say is what the code does."""

from __future__ import annotations

import ast
import json
import re
import sys
from dataclasses import MISSING
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from refund_plugin import clock, documents
from refund_plugin.conf import KEYS, Limit
from refund_plugin.events import services as event_services
from refund_plugin.orders import events as order_events
from refund_plugin.refunds import events as refund_events
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.states import REFUND_TRANSITIONS, REQUEST_TRANSITIONS, RefundEvent, RefundState, RequestState
from refund_plugin.rules import Outcome, PolicyDocument, dump_document, evaluate, explain_line, load_document, unregister_clause
from refund_plugin.stores.services import ensure_default_store
from tests.documented import ROOT
from tests.rules.building import ENGLISH, line

pytestmark = pytest.mark.database_independent

DOCS = sorted((ROOT / "docs").glob("*.md"))
ROW = re.compile(r"^\| (.+?) \|$", re.MULTILINE)


def _text(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def _rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in found.split("|")] for found in ROW.findall(text)]


def _fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _module(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a block as a module of its own, which classes made in it can be found in."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(code, name, "exec", dont_inherit=True), vars(module))
    return module


def _default_of(key: str) -> Any:
    field = KEYS[key]
    value = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
    return (value.count, value.seconds) if isinstance(value, Limit) else value


def test_every_setting_is_documented_with_its_default_and_none_else() -> None:
    text = _text("settings.md").partition("## Gateway accounts")[0]
    told = {row[0].strip("`"): ast.literal_eval(row[2].strip("`")) for row in _rows(text) if row[0].startswith("`")}
    assert told == {key: _default_of(key) for key in KEYS}


def test_the_table_of_requests_is_the_codes_own() -> None:
    section = _text("architecture.md").partition("### Request")[2].partition("### Refund")[0]
    told = {row[0]: set(row[1].split(", ")) - {"–"} for row in _rows(section)[1:]}
    assert told == {state: {str(after) for after in REQUEST_TRANSITIONS[state]} for state in RequestState.values}


def test_the_table_of_refunds_is_the_codes_own() -> None:
    section = _text("architecture.md").partition("### Refund")[2]
    rows = [[cell.strip() for cell in found.strip("|").split("|")] for found in re.findall(r"^\|.*\|$", section, re.MULTILINE)]
    events = rows[0][1:]
    assert events == [event.value for event in RefundEvent]
    told = {
        (row[0], event): after
        for row in rows[2:]
        if row[0] in RefundState.values
        for event, after in zip(events, row[1:], strict=True)
        if after
    }
    assert told == {(str(state), event.value): str(after) for (state, event), after in REFUND_TRANSITIONS.items()}


def test_every_event_a_host_may_listen_to_is_named() -> None:
    kinds = {value for name, value in vars(refund_events).items() if name.isupper() and isinstance(value, str)}
    missing = {kind for kind in kinds if f"`{kind}`" not in _text("extending.md")}
    assert missing - {refund_events.DRIVE} == set()
    assert order_events.PURCHASE_LIST_ASKED not in kinds


def test_every_custom_property_is_named() -> None:
    sheet = (ROOT / "refund_plugin/static/refund_plugin/web/refund.css").read_text()
    declared = set(re.findall(r"(--refund-[a-z0-9-]+)\s*:", sheet))
    assert declared - set(re.findall(r"--refund-[a-z0-9-]+", _text("extending.md"))) == set()


def test_every_block_of_the_frame_is_named() -> None:
    frame = (ROOT / "refund_plugin/templates/refund_plugin/base.html").read_text()
    assert {name for name in re.findall(r"{% block (refund_\w+)", frame) if f"`{name}`" not in _text("extending.md")} == set()


def test_every_operation_for_storefronts_is_listed() -> None:
    told = {row[0].strip("`") for row in _rows(_text("graphql.md")) if row[0].startswith(("`Refund", "`Purchase"))}
    assert told == {name.partition("/")[2] for name in documents.operation_names("storefront")}


def test_the_operations_shown_are_valid() -> None:
    schema = build_schema(documents.document("schema"))
    shown = _fences(_text("graphql.md"), "graphql")
    assert shown
    assert [error.message for text in shown for error in validate(schema, parse(text))] == []


def test_the_schema_of_a_host_can_be_made_from_ours_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(text for text in _fences(_text("graphql.md"), "python") if "ShopQuery" in text)
    assert "refundQuote" in _module("shown_schema", code, monkeypatch).schema.as_str()


def test_the_clause_kind_shown_decides_explains_and_survives_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(text for text in _fences(_text("extending.md"), "python") if text.startswith("# clauses.py"))
    try:
        clause = _module("shown_clauses", code, monkeypatch).HalfBack(anchor="half", window_days=14)
        document = load_document(dump_document(PolicyDocument((clause,))))
        facts = line(paid_minor=1820)
        verdict = evaluate(document, facts)
        assert (verdict.outcome, verdict.amount_minor) == (Outcome.APPROVE, 910)
        assert explain_line(verdict, document, facts, ENGLISH).sentence.endswith("gives you 9.10 EUR back.")
    finally:
        unregister_clause("half_back")


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_python_and_json_blocks_can_be_read(path: Path) -> None:
    text = path.read_text()
    for code in _fences(text, "python"):
        # some show a part of a dict
        ast.parse(code if not code.startswith('"') else f"{{{code}}}")
    for data in _fences(text, "json"):
        json.loads(data.replace("{…}", "{}"))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.django_db
def test_the_subscriber_shown_passes_alerts_on(monkeypatch: pytest.MonkeyPatch, mailoutbox: list[Any], settings: Any) -> None:
    monkeypatch.setattr(event_services, "_subscribers", {})
    settings.ADMINS = [("Ada", "ada@shop.example")]
    _module("shown_alarms", next(code for code in _fences(_text("operations.md"), "python") if "alert_raised" in code), monkeypatch)
    raise_alert(kind="refund_returned", key="1", why="18.20 EUR came back", store_id=ensure_default_store().pk, now=clock.now())
    event_services.deliver_due()
    assert [mail.body for mail in mailoutbox] == ["refund_returned: 18.20 EUR came back"]
