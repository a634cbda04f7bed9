"""`refunds_quote`: the page's answer in a shell."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from refund_plugin.rules import MoneyBack, UnusedOnly
from tests.commands.helpers import run
from tests.factories import EBOOK, NOW, SALE, make_purchase, publish_policy

pytestmark = pytest.mark.usefixtures("policy")


def test_every_line_is_told_with_why_and_until_when():
    purchase = make_purchase(lines=[EBOOK, SALE])
    ran = run("refunds_quote", purchase.number, "--email", "ada@example.com")
    assert ran.code == 0
    book, font = ran.out.split("\n\n")[1:3]
    assert "EBOOK-1" in book
    assert "€18.20" in book
    assert "until" in book
    assert "Downloads" in book
    assert "SALE-1" in font
    assert "final discount" in font


def test_each_clause_that_was_tried_is_told_on_request_with_what_it_missed():
    publish_policy(
        now=NOW - timedelta(days=100),
        clauses=[UnusedOnly(anchor="fresh", window_days=1, title="Fresh"), MoneyBack(anchor="back", window_days=30)],
    )
    purchase = make_purchase()
    asked = ("refunds_quote", purchase.number, "--email", "ada@example.com")
    assert "Fresh" not in run(*asked).out
    told = run(*asked, "--explain").out
    assert re.search(r"1\. Fresh: Missed: .*\. It would apply with: .*", told) and re.search(r"2\. .*it applies", told)
    plain = json.loads(run(*asked, "--json").out)["lines"][0]["considered"]
    assert [(each["clause"], each["held"]) for each in plain] == [("fresh", "missed"), ("back", "held")]


def test_scripts_get_the_same_as_json():
    purchase = make_purchase(lines=[EBOOK, SALE])
    told = json.loads(run("refunds_quote", purchase.number, "--email", "ada@example.com", "--json").out)
    assert (told["order"], told["currency"], told["total_minor"], told["policy_version"]) == (purchase.number, "EUR", 1820, 1)
    assert [(line["sku"], line["outcome"], line["amount_minor"]) for line in told["lines"]] == [
        ("EBOOK-1", "approve", 1820),
        ("SALE-1", "decline", 0),
    ]


def test_an_unknown_order_and_a_wrong_address_end_alike():
    purchase = make_purchase()
    unknown = run("refunds_quote", "no-such", "--email", "ada@example.com")
    wrong = run("refunds_quote", purchase.number, "--email", "eve@example.com")
    assert unknown == wrong
    assert unknown.code == 1
    assert "order number" in unknown.err


def test_an_unknown_store_is_named_with_those_there_are():
    ran = run("refunds_quote", "1042", "--email", "ada@example.com", "--store", "nowhere")
    assert (ran.code, "Known stores: default." in ran.err) == (2, True)


def test_a_missing_address_is_wrong_usage(capsys):
    assert run("refunds_quote", "1042").code == 2
    assert "--email" in capsys.readouterr().err


def test_help_shows_an_example_and_the_exit_codes(capsys):
    assert run("refunds_quote", "--help").code == 0
    told = capsys.readouterr().out
    assert "manage.py refunds_quote 1042 --email ada@example.com\n" in told
    assert "exit codes:" in told
