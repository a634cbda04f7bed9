"""What was decided before is decided the same today, byte for byte: the golden files were written by earlier code."""

from __future__ import annotations

import json

import pytest

from refund_plugin.rules import LineFacts, Outcome, clause_kinds, document_hash, dump_document, evaluate, load_document, verdict_bytes
from tests.rules.golden_cases import FOLDER

FILES = sorted(FOLDER.glob("*.json"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_a_stored_document_has_the_same_bytes_and_hash_when_it_is_written_again(golden):
    document = load_document(golden["document"])
    assert dump_document(document) == golden["document"]
    assert document_hash(dump_document(document)) == golden["hash"]


def test_stored_facts_are_the_same_when_they_are_written_again(golden):
    for case in golden["cases"]:
        assert LineFacts.from_json(case["facts"]).as_json() == case["facts"]


def test_a_stored_decision_is_the_same_today(golden):
    document = load_document(golden["document"])
    for case in golden["cases"]:
        verdict = evaluate(document, LineFacts.from_json(case["facts"]), case["step"])
        assert verdict_bytes(verdict) == case["verdict"].encode()


def test_every_kind_has_a_golden_file_in_which_it_decides():
    decided = {path.stem: set() for path in FILES}
    for path in FILES:
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            decided[path.stem].add(json.loads(case["verdict"])["clause_kind"])
    assert {kind for kind in clause_kinds() if kind not in decided.get(kind, ())} == set()


def test_the_golden_files_know_every_outcome():
    outcomes = {json.loads(case["verdict"])["outcome"] for path in FILES for case in json.loads(path.read_text(encoding="utf-8"))["cases"]}
    assert outcomes == set(Outcome)
