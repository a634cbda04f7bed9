import csv
import io
import json
import re
import stat
from dataclasses import asdict
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from refund_plugin.errors import RefundPluginError
from refund_plugin.orders import import_formats
from refund_plugin.orders.data import LineData
from refund_plugin.orders.import_formats import UnreadableFile, read_csv, read_jsonl
from refund_plugin.orders.import_values import purchase_data
from refund_plugin.orders.importing import import_purchases
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from tests.orders.examples import NOW

BERLIN = ZoneInfo("Europe/Berlin")
DOCS = Path(__file__).parents[2] / "docs" / "importing.md"


def json_order(number="1042", **changes):
    return {
        "number": number,
        "email": "ada@example.com",
        "currency": "EUR",
        "purchased_at": "2026-03-01T10:30:00+01:00",
        "buyer_kind": "consumer",
        "country": "DE",
        "lines": [{"sku": "EBOOK-1", "name": "The Slow Web", "paid": "18.20", "tax": "1.19", "nature": "content"}],
        "payments": [{"gateway_payment_id": f"pi_{number}", "captured": "18.20"}],
        **changes,
    }


def jsonl(*orders):
    return "".join(f"{order if isinstance(order, str) else json.dumps(order)}\n" for order in orders)


@pytest.fixture
def run(store, tmp_path, capsys):
    """Write a file, import it, and return (exit code, summary, rejected orders)."""

    def run_import(text, *options, name="orders.jsonl"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        code = 0
        try:
            call_command("refunds_import_purchases", str(file), "--json", *options)
        except SystemExit as ended:
            code = ended.code
        summary = json.loads(capsys.readouterr().out)
        rejected = file.with_name(f"{name}.rejected.jsonl")
        return code, summary, [json.loads(line) for line in rejected.read_text().splitlines()] if rejected.exists() else []

    return run_import


def counts(summary):
    return tuple(summary[name] for name in ("created", "updated", "unchanged", "rejected"))


def documented(language):
    return re.search(rf"```{language}\n(.*?)```", DOCS.read_text(), re.S)[1]


@pytest.mark.parametrize("amount", [f'"{"9" * 5000}"', "9" * 5000, "9" * 4000, "1" * 60 + ".5"], ids=["text", "number", "long", "fraction"])
def test_an_amount_of_absurd_length_rejects_its_order_only(run, amount):
    absurd = json.dumps(json_order("1")).replace('"captured": "18.20"', f'"captured": {amount}')

    code, summary, rejected = run(jsonl(absurd, json_order("2")))

    assert (code, counts(summary), len(rejected)) == (1, (1, 0, 0, 1), 1)


def test_the_documented_json_lines_land_as_described(run):
    code, summary, rejected = run(documented("json"))

    assert (code, counts(summary), rejected) == (0, (1, 0, 0, 0), [])
    purchase = Purchase.objects.get()
    assert (purchase.number, purchase.customer.email, purchase.buyer_kind, purchase.country) == (
        "1042",
        "ada@example.com",
        "consumer",
        "DE",
    )
    ebook, course = purchase.lines.all()
    assert (ebook.paid_minor, ebook.tax_minor, ebook.nature) == (1820, 119, "content")
    assert (course.paid_minor, course.nature, course.tags, course.units_granted) == (2987, "service", ["video"], 12)
    assert purchase.payments.get().captured_minor == 4807


def test_the_documented_csv_lands_as_described(run):
    code, summary, rejected = run(documented("csv"), name="orders.csv")

    assert (code, counts(summary), rejected) == (0, (2, 0, 0, 0), [])
    ebook, course = Purchase.objects.get(number="1042").lines.all()
    assert (ebook.paid_minor, course.tags, course.unit_name) == (1820, ["video", "final-sale"], "lesson")
    kana = Purchase.objects.get(number="1043")
    assert kana.lines.get().paid_minor == 1200
    assert [payment.captured_minor for payment in kana.payments.all()] == [700, 500]


def test_running_the_same_file_again_changes_nothing(run):
    text = jsonl(*(json_order(str(number)) for number in range(30)))
    run(text)
    rows = [Purchase.objects.count(), PurchaseLine.objects.count(), Payment.objects.count()]

    code, summary, _rejected = run(text)

    assert (code, counts(summary)) == (0, (0, 0, 30, 0))
    assert [Purchase.objects.count(), PurchaseLine.objects.count(), Payment.objects.count()] == rows


def test_bad_rows_go_to_a_file_with_line_and_reason_while_the_good_ones_land(run, tmp_path):
    text = jsonl(
        json_order("1"),
        "{not json",
        json_order("3", email="nobody"),
        json_order("4", lines=[{"sku": "A", "paid": "18.205"}]),
        json_order("5", colour="blue"),
        "",
        json_order("7", payments=[{"gateway_payment_id": "pi_1", "captured": "18.20"}]),
        json_order("8"),
        "[1, 2]",
    )

    code, summary, rejected = run(text)

    assert (code, counts(summary)) == (1, (2, 0, 0, 6))
    assert set(Purchase.objects.values_list("number", flat=True)) == {"1", "8"}
    assert sorted((row["line"], row["field"]) for row in rejected) == [
        (2, ""),
        (3, "email"),
        (4, "lines.0.paid"),
        (5, "colour"),
        (7, "payments.0.gateway_payment_id"),
        (9, ""),
    ]
    assert all(row["reason"] and row["code"] for row in rejected)
    assert summary["rejected_file"].endswith("orders.jsonl.rejected.jsonl")
    assert stat.S_IMODE(Path(summary["rejected_file"]).stat().st_mode) == 0o600


def test_the_file_of_rejected_rows_does_not_outlive_the_next_run(run):
    assert run(jsonl(json_order(email="nobody")))[2]

    assert run(jsonl(json_order()))[2] == []


def test_an_order_that_the_database_refuses_leaves_its_batch_behind_unharmed(run):
    run(jsonl(json_order("0")))
    Purchase.objects.get().payments.update(gone_minor=100)

    code, summary, [rejected] = run(jsonl(json_order("1"), json_order("0", country="FR"), json_order("2")))

    assert (code, counts(summary)) == (1, (2, 0, 0, 1))
    assert (rejected["line"], rejected["number"], rejected["code"]) == (2, "0", "WRONG_STATE")


def test_a_dry_run_tells_everything_and_keeps_nothing(run):
    run(jsonl(json_order("1"), json_order("2")))

    code, summary, rejected = run(
        jsonl(json_order("1"), json_order("2", country="FR"), json_order("3"), json_order("4", email="")), "--dry-run"
    )

    assert (code, counts(summary)) == (1, (1, 1, 1, 1))
    assert set(Purchase.objects.values_list("number", "country")) == {("1", "DE"), ("2", "DE")}


def test_an_order_that_stands_twice_in_a_file_is_told_where_it_stood_first(run):
    code, summary, [rejected] = run(jsonl(json_order("1"), json_order("2"), json_order("#1", country="FR")))

    assert counts(summary) == (2, 0, 0, 1)
    assert (rejected["line"], rejected["field"]) == (3, "number")
    assert "line 1" in rejected["reason"]


def read(reader, text):
    return list(reader(io.BytesIO(text if isinstance(text, bytes) else text.encode()), zone=BERLIN))


HEADER = "number,email,currency,purchased_at,sku,paid,gateway_payment_id,captured\n"


def test_the_line_of_the_file_is_told_for_every_row_of_an_order():
    [row] = read(read_csv, HEADER + "1,a@example.com,EUR,2026-03-01,A,1.00,pi_1,3.00\n1,,,,B,1.005,,\n")

    assert row.error.field == "lines.1.paid"
    assert row.line_of(row.error.field) == 3


def test_rows_of_one_order_that_contradict_each_other_are_refused():
    [differs] = read(read_csv, HEADER + "1,a@example.com,EUR,2026-03-01,A,1,pi_1,3\n1,b@example.com,,,B,1,,\n")
    [twice] = read(read_csv, HEADER + "1,a@example.com,EUR,2026-03-01,A,1,pi_1,3\n1,,,,B,1,pi_1,4\n")
    [same] = read(read_csv, HEADER + "1,a@example.com,EUR,2026-03-01,A,1,pi_1,3\n1,a@example.com,,,B,1,pi_1,3\n")

    assert (differs.error.field, differs.line_of("email"), differs.number) == ("email", 3, "1")
    assert twice.error.field == "payments"
    assert (len(same.data.lines), len(same.data.payments)) == (2, 1)


@pytest.mark.parametrize(
    "damage",
    [
        "2,only,three\n",
        '2,"unclosed' + "x" * 30_000 + '"\n',
        "2," + "x" * (import_formats.MAX_ROW_BYTES + 10) + "\n",
        b"2,gr\xfcn@example.com,EUR,2026-03-01,A,1,pi_2,1\n",
    ],
)
def test_a_damaged_csv_row_is_refused_alone(damage):
    damage = damage if isinstance(damage, bytes) else damage.encode()
    before = HEADER.encode() + b"1,a@example.com,EUR,2026-03-01,A,1,pi_1,1\n"
    after = b"3,a@example.com,EUR,2026-03-01,A,1,pi_3,1\n"
    rows = read(read_csv, before + damage + after)

    assert [row.number for row in rows if row.data and row.data.email.isascii()] == ["1", "3"]
    assert len(rows) == 3


def test_a_row_that_is_not_utf_8_is_refused_and_the_others_land(run):
    text = HEADER.encode() + b"1,a@example.com,EUR,2026-03-01,A,1,pi_1,1\n2,gr\xfcn@example.com,EUR,2026-03-01,A,1,pi_2,1\n"

    code, summary, [rejected] = run(text, name="orders.csv")

    assert (code, counts(summary), rejected["line"]) == (1, (1, 0, 0, 1), 3)


def test_a_json_row_that_is_too_long_is_refused_alone():
    rows = read(read_jsonl, jsonl(json_order("1"), json_order("2", customer_name="x" * 2_500_000), json_order("3")))

    assert [(row.line, row.number) for row in rows] == [(1, "1"), (2, ""), (3, "3")]


@pytest.mark.parametrize("header", ["", "email,sku\n", "number,emial\n", "number,sku,sku\n", '"number' + "x" * 30_000 + '"\n'])
def test_a_csv_without_a_usable_header_is_refused_as_a_whole(header):
    with pytest.raises(UnreadableFile):
        read(read_csv, header + "1,2\n")


def test_a_byte_order_mark_and_spreadsheet_line_ends_are_read():
    text = "\ufeff" + HEADER.replace("\n", "\r\n") + "1,a@example.com,EUR,2026-03-01,A,1,pi_1,1\r\n\r\n"

    assert [row.data.number for row in read(read_csv, text)] == ["1"]
    assert [row.data.number for row in read(read_jsonl, "\ufeff" + jsonl(json_order("1")))] == ["1"]


def test_a_time_without_an_offset_is_the_stores_time():
    [row] = read(read_jsonl, jsonl(json_order(purchased_at="2026-03-01 10:30")))

    assert row.data.purchased_at.isoformat() == "2026-03-01T10:30:00+01:00"


def test_amounts_are_exact_in_every_currency():
    def paid(amount, currency):
        return (
            purchase_data(json_order(currency=currency, lines=[{"sku": "A", "paid": amount}], payments=[]), zone=BERLIN).lines[0].paid_minor
        )

    assert (paid("0.1", "EUR"), paid("1200", "JPY"), paid("4.505", "KWD")) == (10, 1200, 4505)
    [row] = read(read_jsonl, jsonl(json_order()).replace('"18.20"', "18.20"))
    assert row.data.lines[0].paid_minor == 1820


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"sku": "A"}, "paid"),
        ({"sku": "A", "paid": "1", "paid_minor": 100}, "paid"),
        ({"sku": "A", "paid": True}, "paid"),
        ({"sku": "A", "paid": "much"}, "paid"),
        ({"sku": "A", "paid": "1e99"}, "paid"),
        ({"sku": "A", "paid_minor": "1.5"}, "paid_minor"),
        ({"sku": "A", "paid": "1", "quantity": "two"}, "quantity"),
        ({"sku": "A", "paid": "1", "tax_rate_percent": "1e999"}, "tax_rate_percent"),
        ({"sku": "A", "paid": "1", "term_start": "soon"}, "term_start"),
        ({"sku": "A", "paid": "1", "tags": [1]}, "tags"),
        ({"sku": ["A"], "paid": "1"}, "sku"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(line, field):
    with pytest.raises(RefundPluginError) as caught:
        purchase_data(json_order(lines=[line]), zone=BERLIN)

    assert caught.value.field == f"lines.0.{field}"
    assert str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sku", "paid", "number", "lines"]), inner, max_size=3),
    max_leaves=8,
)


@given(values=st.dictionaries(st.sampled_from([*import_formats.PURCHASE_FIELDS, "lines", "payments"]), json_values))
def test_no_json_whatever_ends_the_reading(values):
    try:
        purchase_data(values, zone=BERLIN)
    except RefundPluginError as error:
        assert str(error)


@given(text=st.binary(max_size=300))
def test_no_bytes_whatever_end_the_reading(text):
    for row in read(read_jsonl, text) + read(read_csv, HEADER.encode() + text):
        assert (row.data is None) == (row.error is not None)


words = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="|\x7f"), min_size=1, max_size=12).map(str.strip)
csv_lines = st.builds(
    LineData,
    sku=words.filter(bool),
    name=words.filter(bool),
    paid_minor=st.integers(0, 10**9),
    quantity=st.integers(1, 99),
    tags=st.lists(words.filter(bool), max_size=2).map(tuple),
    nature=st.sampled_from(["content", "service"]),
    units_granted=st.none() | st.integers(1, 99),
)


@settings(max_examples=60)
@given(lines=st.lists(csv_lines, min_size=1, max_size=4))
def test_what_is_written_as_csv_is_read_back_the_same(lines):
    columns = ["number", "email", "currency", "purchased_at", "sku", "name", "paid_minor", "quantity", "tags", "nature", "units_granted"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    for line in lines:
        order = {"number": "7", "email": "a@example.com", "currency": "EUR", "purchased_at": "2026-03-01"}
        writer.writerow({**asdict(line), **order, "tags": "|".join(line.tags)})

    [row] = read(read_csv, text.getvalue())

    assert list(row.data.lines) == lines


def test_small_and_large_batches_end_the_same(store):
    for batch in (1, 2, 500):
        rows = read(read_jsonl, jsonl(*(json_order(f"{batch}-{index}") for index in range(5))))
        report = import_purchases(store=store, rows=rows, now=NOW, on_rejected=pytest.fail, batch=batch)
        assert report.created == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.csv"], "does not exist"),
        (["orders.txt"], "--format"),
        (["orders.csv", "--store", "moon"], "Known stores: default"),
        (["orders.csv", "--rejected", "orders.csv"], "--rejected"),
        (["orders.csv"], "name the columns"),
    ],
)
def test_wrong_usage_is_told_with_its_remedy(store, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    for name in ("orders.txt", "orders.csv"):
        Path(name).write_text("colour\nblue\n")

    with pytest.raises(CommandError, match=words):
        call_command("refunds_import_purchases", *arguments)

    assert Path("orders.csv").read_text() == "colour\nblue\n"


def test_a_terminal_gets_a_progress_bar_and_the_summary_in_words(store, tmp_path, monkeypatch, capsys):
    file = tmp_path / "orders.jsonl"
    file.write_text(jsonl(json_order("1"), json_order("2", email="")))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

    with pytest.raises(SystemExit):
        call_command("refunds_import_purchases", str(file))

    captured = capsys.readouterr()
    assert "100%  2 orders, 1 rejected" in captured.err
    assert "2 orders: 1 created, 0 updated, 0 unchanged, 1 rejected." in captured.out
