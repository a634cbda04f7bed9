"""The journal as CSV: it balances, says the tax rates, and no spreadsheet runs what a customer typed."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.money import Money
from refund_plugin.refunds.ledger.journal import COLUMNS, TOTAL, Unbalanced, as_csv, defuse, journal
from refund_plugin.refunds.ledger.models import Account, LedgerEntry, LedgerEvent
from refund_plugin.refunds.ledger.queries import account_totals, days
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.stores.models import Store
from tests.factories import COURSE, EBOOK, NOW, line_with, make_purchase
from tests.refunds.helpers import ask, only_refund

pytestmark = pytest.mark.django_db

START, END = NOW - timedelta(days=1), NOW + timedelta(days=1)


def read(**period) -> list[dict[str, str]]:
    """The journal as a bookkeeper's program reads it."""
    text = "".join(as_csv(journal(**{"start": START, "end": END, **period})))
    return list(csv.DictReader(io.StringIO(text)))


def refunded(**changes):
    refund = only_refund(ask(make_purchase(**changes)))
    answer = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id=f"re_{refund.pk.hex}", amount=refund.amount)
    record_answer(refund_id=refund.pk, answer=answer, now=NOW)
    return refund


def test_it_says_what_was_booked_in_decimals_and_minor_units(policy):
    refund = refunded(lines=[line_with(EBOOK, tax_rate_percent=Decimal(7))])
    rows = read()
    told = [(row["event"], row["account"], row["debit"], row["credit"], row["debit_minor"], row["tax_rate_percent"]) for row in rows[:-1]]
    assert told == [
        ("reserved", "revenue_contra", "17.01", "", "1701", "7.000"),
        ("reserved", "tax", "1.19", "", "119", "7.000"),
        ("reserved", "customer_payable", "", "18.20", "0", ""),
        ("succeeded", "customer_payable", "18.20", "", "1820", ""),
        ("succeeded", "gateway_clearing", "", "18.20", "0", ""),
    ]
    assert {(row["refund"], row["request"], row["order"]) for row in rows[:-1]} == {
        (str(refund.pk), refund.request.reference, refund.payment.purchase.number)
    }
    assert {row["tax_period"] for row in rows[:-1]} == {"2026-03"}


def test_every_movement_and_the_whole_balance_and_the_last_line_is_the_sum(policy):
    for number in range(4):
        refunded(lines=[line_with(EBOOK, paid_minor=1000 + number, tax_minor=70), COURSE])
    *rows, total = read()
    movements: dict[str, int] = defaultdict(int)
    for row in rows:
        movements[row["movement"]] += int(row["debit_minor"]) - int(row["credit_minor"])
    assert set(movements.values()) == {0}
    assert (total["movement"], total["currency"]) == (TOTAL, "EUR")
    assert int(total["debit_minor"]) == sum(int(row["debit_minor"]) for row in rows) == int(total["credit_minor"])
    assert Decimal(total["debit"]) == Decimal(total["debit_minor"]) / 100


def test_tax_and_revenue_are_split_by_rate_and_add_up_to_what_was_booked(policy):
    refunded(lines=[line_with(EBOOK, tax_rate_percent=Decimal(7)), line_with(COURSE, tax_rate_percent=Decimal(19))])
    rows = [(row["account"], row["tax_rate_percent"], row["debit_minor"]) for row in read() if row["account"] in ("tax", "revenue_contra")]
    assert sorted(rows) == [
        ("revenue_contra", "19.000", "2510"),
        ("revenue_contra", "7.000", "1701"),
        ("tax", "19.000", "477"),
        ("tax", "7.000", "119"),
    ]


def test_amounts_have_the_decimals_of_their_currency(policy):
    refunded(lines=[line_with(EBOOK, tax_minor=0)], currency="JPY")
    refunded(lines=[line_with(EBOOK, tax_minor=0)], currency="KWD")
    assert {(row["currency"], row["debit"]) for row in read() if row["debit"]} >= {("JPY", "1820"), ("KWD", "1.820")}
    assert [(row["currency"], row["debit"]) for row in read()[-2:]] == [("JPY", "3640"), ("KWD", "3.640")]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_nothing_a_person_typed_is_a_formula(start):
    assert defuse(f"{start}cmd|' /C calc'!A0").startswith("'")
    assert defuse("A-1") == "A-1"


@pytest.mark.parametrize("separator", [";", ",", "\t", "|", "; "])
def test_no_part_of_a_cell_that_another_separator_cuts_off_is_a_formula(separator):
    assert "'=HYPERLINK" in defuse(f"Ada{separator}=HYPERLINK(A1)").replace("' =", "'=")


def test_an_order_number_that_is_a_formula_is_defused(policy):
    refunded(number='=HYPERLINK("https://evil.example","x")')
    assert {row["order"][:2] for row in read() if row["order"]} == {"'="}


def test_only_the_period_and_the_store_are_written(policy):
    refund = refunded()
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    assert len(read(store_id=refund.store_id)) == 6
    assert read(store_id=other.pk) == []
    assert read(start=END, end=END + timedelta(days=1)) == []
    assert read(start=NOW, end=NOW + timedelta(seconds=1)) != []
    assert read(start=START, end=NOW) == []


def test_days_are_those_of_the_stores_time_zone():
    start, end = days(NOW.date(), NOW.date(), timezone="Asia/Tokyo")
    assert start.astimezone(UTC) == datetime(2026, 3, 8, 15, tzinfo=UTC)
    assert end.astimezone(UTC) == datetime(2026, 3, 9, 15, tzinfo=UTC)


def test_a_journal_that_does_not_balance_does_not_end_quietly(policy, monkeypatch):
    refund = refunded()
    one_sided = LedgerEntry(event=LedgerEvent.FEE, account=Account.FEE, debit_minor=3, currency="EUR", store=refund.store, recorded_at=NOW)
    monkeypatch.setattr("refund_plugin.refunds.ledger.journal._entries", lambda *period: iter([one_sided]))
    with pytest.raises(Unbalanced):
        read()


def test_the_head_names_every_column(policy):
    assert next(as_csv(journal(start=START, end=END))).strip().split(",") == list(COLUMNS)


def test_statements_do_not_grow_with_the_rows(policy, django_assert_num_queries):
    for _number in range(3):
        refunded()
    with django_assert_num_queries(2):
        list(journal(start=START, end=END))


def test_the_totals_of_accounts_are_those_of_the_journal(policy):
    refunded()
    totals = {total.account: (total.debit, total.credit) for total in account_totals(start=START, end=END)}
    assert totals["gateway_clearing"] == (Money(0, "EUR"), Money(1820, "EUR"))
    assert totals["customer_payable"] == (Money(1820, "EUR"), Money(1820, "EUR"))
