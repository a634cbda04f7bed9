"""The work list: what is on it and in which order, whom it is claimed for, and how a filled one is read back."""

from __future__ import annotations

import csv
import io
import json
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.errors import InvalidInput, WrongState
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.ledger.journal import as_csv
from refund_plugin.refunds.manual import worklist
from refund_plugin.refunds.manual.restore import list_before_sending
from refund_plugin.refunds.manual.services import claim_by_hand, give_proof
from refund_plugin.refunds.manual.worklist import check_list, export, record_list, waiting
from refund_plugin.refunds.models import AttemptPurpose, Refund, WaitsFor
from refund_plugin.refunds.outcomes import REVIVED, record_answer
from refund_plugin.refunds.presenting import may_retry
from refund_plugin.refunds.reconcile.services import advance_run, start_run
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.states import RefundState
from tests.commands.helpers import run
from tests.factories import NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

pytestmark = pytest.mark.django_db(transaction=True)

COLLEAGUE = replace(CLERK, id="colleague", label="Carl Colleague", actions=frozenset({Action.PAY_BY_HAND}))


@pytest.fixture
def refunds(policy):
    """Three that wait; the last one by law."""
    made = [only_refund(ask(make_purchase(), now=NOW + timedelta(minutes=number))) for number in range(3)]
    request = made[2].request
    request.is_withdrawal, request.withdrawn_at, request.reimburse_by = True, NOW, NOW + timedelta(days=14)
    request.save()
    return made


def listed(by=CLERK, *, claim=True):
    text = "".join(as_csv(export(by=by, claim=claim, now=NOW)))
    return list(csv.DictReader(io.StringIO(text)))


def filled(rows, **changes):
    """Return the list as a spreadsheet would save it, every row filled in."""
    made = io.StringIO()
    writer = csv.DictWriter(made, worklist.COLUMNS, delimiter=changes.pop("delimiter", ","))
    writer.writeheader()
    for number, row in enumerate(rows):
        writer.writerow({**row, "method": "bank", "paid_on": NOW.date().isoformat(), "paid_reference": f"T-{number}", **changes})
    return made.getvalue().encode("utf-8-sig")


def compare():
    run = start_run(account=default_account())
    while advance_run(run.pk, now=clock.now()):
        pass


def states():
    return set(Refund.objects.values_list("state", flat=True))


def test_what_the_law_wants_back_comes_first_then_the_longest_wait(refunds):
    assert [refund.pk for refund in waiting()] == [refunds[2].pk, refunds[0].pk, refunds[1].pk]


def test_a_list_without_a_claim_changes_nothing(refunds):
    rows = listed(claim=False)

    assert len(rows) == 3 and {row["state"] for row in rows} == {"reserved"} and states() == {RefundState.RESERVED}
    first = rows[0]
    assert first["reimburse_by"].startswith("2026-03-23") and first["amount"] == "18.20" and first["email"] == "ada@example.com"
    assert first["write_on_transfer"] == f"Refund {first['reference']}, order {first['order']}"


def test_a_claimed_list_belongs_to_its_person_and_the_machine_pays_none_of_it(refunds, gateway):
    rows = listed()
    drive_refunds()

    assert {row["claimed_by"] for row in rows} == {"Clara Clerk"} and states() == {RefundState.MANUAL_CLAIMED} and not gateway.sent
    assert [row["refund"] for row in listed()] == [row["refund"] for row in rows]  # written again, the same list
    assert listed(COLLEAGUE) == []
    assert len(listed(COLLEAGUE, claim=False)) == 3


def test_what_failed_is_listed_by_its_successor_and_what_may_have_been_sent_is_not_listed(refunds, gateway):
    record_answer(refund_id=refunds[0].pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id="re_1"), now=NOW)
    Refund.objects.filter(pk=refunds[1].pk).update(maybe_executed=True)

    rows = listed()

    assert {row["refund"] for row in rows} == {str(refunds[2].pk), str(Refund.objects.get(supersedes=refunds[0]).pk)}


def test_what_may_be_the_same_money_as_what_was_paid_is_not_listed(refunds):
    Refund.objects.filter(pk=refunds[0].pk).update(waits_for=WaitsFor.PERSON, needs_person=REVIVED)

    rows = listed()

    assert {row["refund"] for row in rows} == {str(refunds[1].pk), str(refunds[2].pk)}
    assert Refund.objects.get(pk=refunds[0].pk).state == RefundState.RESERVED


def test_what_may_not_be_claimed_is_on_the_list_with_the_reason(refunds):
    rows = listed(replace(CLERK, limit_minor={"EUR": 100}))

    assert len(rows) == 3 and all("You may approve up to 1.00 EUR" in row["problem"] for row in rows)
    assert states() == {RefundState.RESERVED}


def test_a_list_claims_no_more_than_somebody_can_pay(refunds, monkeypatch):
    monkeypatch.setattr(worklist, "MAX_CLAIMS", 2)

    assert len(listed()) == 2
    assert Refund.objects.filter(state=RefundState.MANUAL_CLAIMED).count() == 2


def test_no_cell_is_taken_for_a_formula(policy):
    refund = only_refund(ask(make_purchase()))
    refund.request.customer.name = "=HYPERLINK(1)"
    refund.request.customer.save()

    assert listed()[0]["customer"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_filled_list_is_recorded_once_however_often_it_is_read(refunds, delimiter):
    content = filled(listed(), delimiter=delimiter)

    checked = check_list(content, by=CLERK, now=NOW)
    assert (len(checked.ready), checked.recorded, checked.problems) == (3, 0, []) and states() == {RefundState.MANUAL_CLAIMED}
    recorded = record_list(content, by=CLERK, now=NOW)
    again = record_list(content, by=CLERK, now=NOW)

    assert (recorded.recorded, recorded.problems) == (3, []) and states() == {RefundState.MANUAL_PAID}
    assert (again.recorded, again.known, again.problems) == (0, 3, [])
    assert Refund.objects.get(pk=refunds[2].pk).proof["reference"] == "T-0"


def test_what_stopped_halfway_goes_on(refunds):
    rows = listed()
    record_list(filled(rows[:1]), by=CLERK, now=NOW)

    report = record_list(filled(rows), by=CLERK, now=NOW)

    assert (report.recorded, report.known) == (2, 1)


def test_rows_that_nobody_filled_in_stay_claimed(refunds):
    report = record_list(filled(listed(), method="", paid_on="", paid_reference=""), by=CLERK, now=NOW)

    assert (report.empty, report.recorded) == (3, 0) and states() == {RefundState.MANUAL_CLAIMED}


def test_one_wrong_row_and_nothing_is_recorded(refunds):
    rows = listed()
    answer = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1")
    record_answer(refund_id=uuid.UUID(rows[1]["refund"]), answer=answer, now=NOW)

    report = record_list(filled(rows), by=CLERK, now=NOW)

    (problem,) = report.problems
    assert (problem.number, problem.refund) == (3, rows[1]["refund"]) and "the customer got it twice" in problem.why
    assert report.recorded == 0 and RefundState.MANUAL_PAID not in states()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"refund": "1"}, "number cannot be read"),
        ({"refund": str(uuid.uuid4())}, "no such refund"),
        ({"amount": "18.21"}, "18.20 EUR, not what the list says"),
        ({"amount": "much"}, "amount cannot be read"),
        ({"currency": "USD"}, "not what the list says"),
        ({"method": "cash"}, "Choose how it was paid"),
        ({"paid_on": "31.03.2026"}, "like 2026-03-31"),
        ({"paid_on": "2999-01-01"}, "in the future"),
        ({"paid_on": "2020-01-01"}, "before the purchase"),
        ({"paid_reference": ""}, "Write the reference"),
        ({"note": "x" * 4001}, "keep the note"),
    ],
)
def test_a_row_that_is_wrong_is_named_with_what_would_be_right(refunds, changes, why):
    report = record_list(filled(listed()[:1], **changes), by=CLERK, now=NOW)

    assert [problem.number for problem in report.problems] == [2] and why in report.problems[0].why
    assert RefundState.MANUAL_PAID not in states()


def test_a_spreadsheet_may_write_the_amount_its_own_way(refunds):
    assert record_list(filled(listed()[:1], amount="18,2", delimiter=";"), by=CLERK, now=NOW).recorded == 1


def test_a_refund_that_stands_twice_in_the_list_is_refused(refunds):
    row = listed()[0]

    assert "twice" in check_list(filled([row, row]), by=CLERK, now=NOW).problems[0].why


def test_a_row_that_nobody_claimed_or_a_colleague_did_is_refused(refunds):
    rows = listed(claim=False)
    claim_by_hand(refund_id=uuid.UUID(rows[0]["refund"]), by=CLERK, now=NOW)

    report = record_list(filled(rows), by=COLLEAGUE, now=NOW)

    assert [problem.why for problem in report.problems][0] == "Clara Clerk pays this refund."
    assert {problem.why for problem in report.problems[1:]} == {"Nobody has claimed this refund."}


def test_a_payment_that_was_recorded_otherwise_is_refused(refunds):
    row = listed()[0]
    give_proof(refund_id=uuid.UUID(row["refund"]), by=CLERK, method="other", reference="x", paid_on=NOW.date(), now=NOW)

    assert "was paid" in check_list(filled([row]), by=CLERK, now=NOW).problems[0].why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "lacks these columns"),
        (b"a,b\n1,2\n", "lacks these columns: refund, amount"),
        ("refund,größe\n".encode("latin-1"), "UTF-8"),
        (b"\x00" * (worklist.MAX_BYTES + 1), "larger than"),
        (",".join(worklist.COLUMNS).encode() + b"\n" * worklist.MAX_ROWS + b"\n", "more than 5000 rows"),
    ],
    ids=["empty", "another file", "another encoding", "too large", "too long"],
)
def test_a_file_that_is_no_work_list_is_refused(db, content, why):
    with pytest.raises(InvalidInput, match=why):
        check_list(content, by=CLERK, now=NOW)


def test_the_commands_export_claim_check_and_record(refunds, tmp_path):
    ran = run("refunds_worklist", "export", "--claim")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert ran.code == 0 and len(rows) == 3 and states() == {RefundState.MANUAL_CLAIMED}
    file = tmp_path / "mine.csv"
    file.write_bytes(filled(rows))

    checked = run("refunds_worklist", "import", str(file))
    assert checked.code == 0 and "3 ready to be recorded" in checked.out and "--record" in checked.out
    assert states() == {RefundState.MANUAL_CLAIMED}
    recorded = run("refunds_worklist", "import", str(file), "--record", "--json")
    assert json.loads(recorded.out)["recorded"] == 3 and states() == {RefundState.MANUAL_PAID}

    file.write_bytes(filled(rows, amount="1"))
    wrong = run("refunds_worklist", "import", str(file), "--record")
    assert wrong.code == 1 and f"line 2: {rows[0]['refund']}" in wrong.out and "3 wrong" in wrong.out
    assert run("refunds_worklist", "import", str(tmp_path / "none.csv")).code == 1
    assert "Known stores" in run("refunds_worklist", "export", "--store", "nowhere").err


def test_after_a_restore_everything_unfinished_is_looked_up_before_it_is_sent(refunds, gateway):
    claim_by_hand(refund_id=refunds[0].pk, by=CLERK, now=NOW)
    refused = run("refunds_after_restore")
    assert refused.code == 1 and "3 unfinished refunds, 1 manual_claimed, 2 reserved" in refused.out and "--yes" in refused.err
    assert not Refund.objects.filter(list_first=True).exists()

    ran = run("refunds_after_restore", "--yes")

    assert ran.code == 0 and "3 refunds are looked up before they are sent" in ran.out and "refunds_reconcile" in ran.out
    assert [row for row in waiting() if row.state == RefundState.RESERVED] == []  # nor by hand
    drive_refunds()
    refund = Refund.objects.get(pk=refunds[1].pk)
    assert refund.attempts.first().purpose == AttemptPurpose.LIST


def test_after_a_restore_what_failed_is_sent_again_only_when_the_whole_listing_was_read(refunds, gateway):
    failed = refunds[0]
    record_answer(refund_id=failed.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id="re_1"), now=NOW)
    cut_off = start_run(account=default_account())
    assert list_before_sending() == 3

    for act in (
        lambda: retry_refund(refund_id=failed.pk, by=CLERK, reason="Again.", now=NOW),
        lambda: claim_by_hand(refund_id=failed.pk, by=CLERK, now=NOW),
    ):
        with pytest.raises(WrongState, match="restored from a backup"):
            act()
    assert not may_retry(Refund.objects.get(pk=failed.pk))

    run = start_run(account=default_account())
    assert run != cut_off  # that one had read pages that the backup was not there for
    while advance_run(run.pk, now=clock.now()):
        pass
    assert retry_refund(refund_id=failed.pk, by=CLERK, reason="Again.", now=NOW).state == RefundState.RESERVED
    assert Refund.objects.get(pk=refunds[1].pk).list_first  # what was not sent is looked up by itself


def test_after_a_restore_no_successor_follows_by_itself_what_is_absent(refunds, gateway):
    gateway.script(*["timeout_before_commit"] * 3)
    drive_refunds()
    list_before_sending()
    for minutes in (0, 11):
        with clock.travel(timedelta(hours=21, minutes=minutes)):
            drive_refunds()

    assert states() == {RefundState.FAILED} and Refund.objects.count() == 3 and not gateway.sent


def test_after_a_restore_a_comparison_that_does_not_reach_back_lifts_nothing(refunds, gateway):
    failed = refunds[0]
    record_answer(refund_id=failed.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id="re_1"), now=NOW)
    short = start_run(account=default_account())
    Refund.objects.filter(pk=failed.pk).update(reserved_at=clock.database_now() - timedelta(days=60), list_first=True)
    while advance_run(short.pk, now=clock.now()):
        pass
    assert Refund.objects.get(pk=failed.pk).list_first

    compare()  # reaches back as far as is needed
    assert not Refund.objects.get(pk=failed.pk).list_first


def test_after_a_restore_a_claim_of_the_backup_is_proven_only_when_the_provider_has_told(refunds, gateway):
    claimed = claim_by_hand(refund_id=refunds[0].pk, by=CLERK, now=NOW)
    list_before_sending()

    [row] = listed()
    assert "restored from a backup" in row["problem"]
    told = {"refund_id": claimed.pk, "by": CLERK, "method": "bank", "reference": "T-1", "paid_on": NOW.date(), "now": NOW}
    with pytest.raises(WrongState, match="restored from a backup"):
        give_proof(**told)
    assert "restored from a backup" in check_list(filled([row]), by=CLERK, now=NOW).problems[0].why

    compare()
    [row] = listed()
    assert row["problem"] == "" and give_proof(**told).state == RefundState.MANUAL_PAID


def test_after_a_restore_a_successor_that_the_backup_does_not_know_is_not_paid_again(refunds, gateway):
    lost = refunds[0]
    Refund.objects.exclude(pk=lost.pk).update(waits_for=WaitsFor.PERSON)
    gateway.script("timeout_before_commit")
    drive_refunds()
    list_before_sending()
    gateway.refund_externally(lost.payment.gateway_payment_id, lost.amount - Money(1, "EUR"))  # by the successor, after the backup
    compare()
    assert Refund.objects.get(pk=lost.pk).list_first
    for minutes in (0, 11, 22):
        with clock.travel(timedelta(hours=21, minutes=minutes)):
            drive_refunds()
    with clock.travel(timedelta(hours=22)):
        compare()

    failed = Refund.objects.get(pk=lost.pk)
    assert (failed.state, failed.failure_code, failed.owed, failed.list_first) == (RefundState.FAILED, "absent", True, False)
    assert not gateway.sent and not Refund.objects.filter(supersedes=failed).exists()
    assert failed.pk not in {row.pk for row in waiting()}
    with pytest.raises(WrongState, match="which products it was for"):
        claim_by_hand(refund_id=failed.pk, by=CLERK, now=NOW)


def test_what_is_absent_has_no_successor_by_itself_while_other_money_is_not_assigned(refunds, gateway):
    lost = refunds[0]
    gateway.script(*["timeout_before_commit"] * 3)
    drive_refunds()
    Payment.objects.filter(pk=lost.payment_id).update(captured_minor=4000)  # enough for both
    gateway.add_payment(lost.payment.gateway_payment_id, Money(4000, "EUR"))
    gateway.refund_externally(lost.payment.gateway_payment_id, lost.amount)
    compare()
    for minutes in (0, 11, 22):
        with clock.travel(timedelta(hours=21, minutes=minutes)):
            drive_refunds()

    assert Refund.objects.get(pk=lost.pk).state == RefundState.FAILED
    assert set(Refund.objects.filter(supersedes__isnull=False).values_list("supersedes", flat=True)) == {refunds[1].pk, refunds[2].pk}


def test_with_nothing_unfinished_the_command_says_what_comes_next(db):
    assert list_before_sending() == 0
    ran = run("refunds_after_restore")

    assert ran.code == 0 and "0 unfinished refunds" in ran.out and "refunds_reconcile" in ran.out
