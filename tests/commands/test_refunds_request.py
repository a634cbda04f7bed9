"""`refunds_request`: ask and follow from a shell."""

from __future__ import annotations

import json
import threading

import pytest
from django.db import connection

from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import RefundRequest
from tests.commands.helpers import run
from tests.factories import EBOOK, LICENCE, SALE, make_purchase

pytestmark = pytest.mark.usefixtures("policy")


def ask(number: str, *arguments: str):
    return run("refunds_request", number, "--email", "ada@example.com", "--reason", "changed_mind", *arguments)


def test_the_timeline_and_the_tracking_link_are_told():
    ran = ask(make_purchase().number, "--line", "EBOOK-1")
    row = RefundRequest.objects.get()
    assert ran.code == 0
    assert row.reference in ran.out
    assert "€18.20" in ran.out
    assert "Approved" in ran.out
    assert "https://shop.example/refunds/track/" in ran.out
    assert (row.channel, row.reason) == ("command", "changed_mind")


@pytest.mark.parametrize(("line", "quantity"), [("GRAIN-1", 3), ("GRAIN-1:2", 2)])
def test_all_that_is_left_is_asked_for_unless_a_quantity_is_named(line, quantity):
    assert ask(make_purchase(lines=[LICENCE]).number, "--line", line).code == 0
    assert RefundRequest.objects.get().lines.get().quantity == quantity


def test_a_sku_on_two_lines_is_filled_in_order():
    purchase = make_purchase(lines=[EBOOK, EBOOK])
    assert ask(purchase.number, "--line", "EBOOK-1:1").code == 0
    assert [item.line.position for item in RefundRequest.objects.get().lines.all()] == [purchase.lines.first().position]
    assert ask(purchase.number, "--line", "EBOOK-1").code == 0
    assert RefundRequest.objects.count() == 2


def test_the_same_key_asks_once():
    number = make_purchase().number
    first = json.loads(ask(number, "--line", "EBOOK-1", "--key", "ticket-7", "--json").out)
    second = json.loads(ask(number, "--line", "EBOOK-1", "--key", "ticket-7", "--json").out)
    assert first["reference"] == second["reference"]
    assert RefundRequest.objects.count() == 1


def test_a_withdrawal_is_recorded_as_one():
    assert ask(make_purchase(lines=[SALE]).number, "--line", "SALE-1", "--withdrawal").code == 0
    row = RefundRequest.objects.get()
    assert (row.is_withdrawal, row.state) == (True, "in_review")


def test_a_decline_is_told_and_ends_with_1():
    ran = ask(make_purchase(lines=[SALE]).number, "--line", "SALE-1")
    assert ran.code == 1
    assert "Declined" in ran.out
    assert "--person" in ran.err


def test_a_person_looks_when_asked_to_and_waiting_ends_there():
    ran = ask(make_purchase(lines=[SALE]).number, "--line", "SALE-1", "--person", "--wait", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["status"] == "in_review"


@pytest.mark.parametrize(
    ("line", "told"),
    [("NO-SUCH", "EBOOK-1"), ("EBOOK-1:2", "left")],
)
def test_what_cannot_be_asked_is_told_and_leaves_no_request(line, told):
    ran = ask(make_purchase().number, "--line", line)
    assert ran.code == 1
    assert told in ran.err
    assert not RefundRequest.objects.exists()


@pytest.mark.parametrize("arguments", [["--line", "EBOOK-1:none"], ["--line", "EBOOK-1:0"], ["--line", ":1"], []])
def test_a_malformed_line_is_wrong_usage(capsys, arguments):
    assert ask("1042", *arguments).code == 2
    assert "--line" in capsys.readouterr().err


def test_an_unknown_reason_is_wrong_usage(capsys):
    assert run("refunds_request", "1", "--email", "a@example.com", "--line", "X", "--reason", "whim").code == 2
    assert "changed_mind" in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_when_the_money_has_left():
    asked = threading.Event()

    def work() -> None:
        try:
            while not drive_refunds():
                asked.wait(0.01)
        finally:
            connection.close()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    ran = ask(make_purchase().number, "--line", "EBOOK-1", "--wait", "--json")
    worker.join(30)
    told = json.loads(ran.out)
    assert ran.code == 0
    assert (told["status"], told["settlement"], told["final"]) == ("refunded", "complete", True)


def test_waiting_without_a_worker_ends_with_a_hint():
    ran = ask(make_purchase().number, "--line", "EBOOK-1", "--wait", "--timeout", "0")
    assert ran.code == 1
    assert "refunds_worker" in ran.err
    assert RefundRequest.objects.count() == 1


def test_help_shows_examples_and_the_exit_codes(capsys):
    assert run("refunds_request", "--help").code == 0
    told = capsys.readouterr().out
    assert "manage.py refunds_request 1042 --email ada@example.com --line EBOOK-1 --reason changed_mind\n" in told
    assert "exit codes:" in told
