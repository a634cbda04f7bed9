"""Credit notes: one for money that has gone, a correction when it comes back, and numbers without a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from refund_plugin import duties
from refund_plugin.events.models import Event
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.ledger import credit_notes
from refund_plugin.refunds.ledger.credit_notes import KINDS, catch_up, on_event, settle_credit_notes
from refund_plugin.refunds.ledger.models import CreditNote, CreditNoteSeries
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.retry import retry_refund
from tests.factories import COURSE, EBOOK, MEMORY, NOW, line_with, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund
from tests.refunds.ledger.racing import race

pytestmark = pytest.mark.django_db


def told(refund: Refund, kind: AnswerKind) -> None:
    answer = GatewayAnswer(kind=kind, gateway_refund_id=f"re_{refund.pk.hex}", amount=refund.amount)
    record_answer(refund_id=refund.pk, answer=answer, now=NOW)


def paid(**changes) -> Refund:
    refund = only_refund(ask(make_purchase(**changes)))
    told(refund, AnswerKind.SUCCEEDED)
    return refund


def deliver() -> None:
    while deliver_due():
        pass


def labels() -> list[str]:
    return list(CreditNote.objects.order_by("pk").values_list("label", flat=True))


def test_money_that_has_gone_has_a_credit_note_with_its_lines_and_tax(policy):
    book = line_with(EBOOK, tax_rate_percent=Decimal(7))
    refund = paid(lines=[book, COURSE])
    deliver()
    note = CreditNote.objects.get()
    assert (note.refund, note.gross_minor, note.tax_minor, note.currency) == (refund, refund.amount_minor, 596, "EUR")
    assert [(line["sku"], line["gross_minor"], line["tax_minor"], line["net_minor"]) for line in note.lines] == [
        ("EBOOK-1", 1820, 119, 1701),
        ("COURSE-1", 2987, 477, 2510),
    ]
    assert Decimal(note.lines[0]["tax_rate_percent"]) == 7


def test_money_on_its_way_has_none_yet(policy):
    told(only_refund(ask(make_purchase())), AnswerKind.PENDING)
    deliver()
    assert not CreditNote.objects.exists()


def test_money_that_came_back_is_corrected_and_the_document_stays(policy):
    refund = paid()
    deliver()
    told(refund, AnswerKind.FAILED)
    deliver()
    first, correction = CreditNote.objects.order_by("pk")
    assert (correction.corrects, correction.gross_minor, correction.tax_minor) == (first, -1820, -119)
    assert correction.lines[0]["net_minor"] == -first.lines[0]["net_minor"]
    told(retry_refund(refund_id=refund.pk, by=CLERK, reason="again", now=NOW), AnswerKind.SUCCEEDED)
    deliver()
    assert sum(CreditNote.objects.values_list("gross_minor", flat=True)) == 1820
    assert [label[-6:] for label in labels()] == ["000001", "000002", "000003"]


def test_money_that_was_paid_without_a_debt_gives_back_no_revenue(policy):
    refund = only_refund(ask(make_purchase()))
    told(refund, AnswerKind.FAILED)
    retry_refund(refund_id=refund.pk, by=CLERK, reason="again", now=NOW)
    told(refund, AnswerKind.SUCCEEDED)  # after all, beside its successor
    deliver()
    assert not CreditNote.objects.filter(refund=refund).exists()


def test_the_tax_period_is_the_month_of_issue_where_the_store_is(policy):
    refund = paid()
    refund.store.timezone = "Pacific/Auckland"
    refund.store.save()
    note = settle_credit_notes(refund_id=refund.pk, now=datetime(2026, 12, 31, 12, 0, tzinfo=UTC))
    assert note is not None
    assert (note.tax_period, note.label) == ("2027-01", "CN-2027-000001")


def test_each_year_and_each_store_has_a_series_of_its_own_when_the_prefix_says_so(policy, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "CREDIT_NOTE_PREFIX": "G{year}/"}
    for year in (2026, 2026, 2027):
        settle_credit_notes(refund_id=paid().pk, now=datetime(year, 6, 1, tzinfo=UTC))
    assert labels() == ["G2026/000001", "G2026/000002", "G2027/000001"]


def test_a_transaction_that_fails_gives_its_number_back(policy):
    first, second = paid(), paid()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        settle_credit_notes(refund_id=first.pk, now=NOW)
        raise ZeroDivisionError
    settle_credit_notes(refund_id=second.pk, now=NOW)
    assert labels() == ["CN-2026-000001"]
    assert CreditNote.objects.get().refund == second


def test_events_that_come_twice_issue_one_document(policy):
    refund = paid()
    for event in list(Event.objects.filter(kind__in=KINDS)) * 2:
        on_event(event)
    assert CreditNote.objects.get().refund == refund


def test_what_no_event_brought_about_is_issued_later(policy):
    refund = paid()
    assert catch_up(NOW + timedelta(minutes=59)) == 0
    assert catch_up(NOW + timedelta(minutes=61)) == 1
    assert catch_up(NOW + timedelta(minutes=61)) == 0
    told(refund, AnswerKind.FAILED)
    assert catch_up(NOW + timedelta(hours=2)) == 1
    assert "credit_notes" in {duty.name for duty in duties.duties()}


def test_one_document_that_cannot_be_written_does_not_hold_up_the_others(policy, monkeypatch):
    broken, fine = paid(), paid()
    issue = credit_notes._issue

    def fail(refund, *arguments, **options):
        if refund.pk == broken.pk:
            raise ZeroDivisionError
        return issue(refund, *arguments, **options)

    monkeypatch.setattr(credit_notes, "_issue", fail)
    assert catch_up(NOW + timedelta(hours=2)) == 1
    assert CreditNote.objects.get().refund == fine


def test_a_number_that_is_missing_is_named_by_the_comparison(policy):
    settle_credit_notes(refund_id=paid().pk, now=NOW)
    assert verify().fine
    CreditNoteSeries.objects.update(last_number=2)
    assert {(difference.check, difference.field) for difference in verify().differences} == {
        ("credit note series", "numbers given out"),
        ("credit note series", "highest number"),
    }


def test_the_database_refuses_to_change_a_document(policy):
    settle_credit_notes(refund_id=paid().pk, now=NOW)
    if connection.vendor == "sqlite":
        return  # its append-only tables are emptied between tests by DELETE, so that it has no such trigger
    with pytest.raises(IntegrityError), transaction.atomic():
        CreditNote.objects.update(gross_minor=1)


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=12))
def test_documents_always_add_up_to_what_has_gone_and_numbers_have_no_gap(policy, steps):
    """Refunds succeed and fail in turn; some documents are rolled back, some issued twice."""
    before = transaction.savepoint()
    refunds = [only_refund(ask(make_purchase())) for _number in range(3)]
    for index, succeeds, rolls_back in steps:
        told(refunds[index], AnswerKind.SUCCEEDED if succeeds else AnswerKind.FAILED)
        if rolls_back:
            inner = transaction.savepoint()
            settle_credit_notes(refund_id=refunds[index].pk, now=NOW)
            transaction.savepoint_rollback(inner)
        else:
            settle_credit_notes(refund_id=refunds[index].pk, now=NOW)
    for refund in refunds:
        settle_credit_notes(refund_id=refund.pk, now=NOW)
        refund.refresh_from_db()
        gone = refund.amount_minor if refund.state == "succeeded" else 0
        assert sum(refund.credit_notes.values_list("gross_minor", flat=True)) == gone
    numbers = sorted(CreditNote.objects.values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert verify().fine
    transaction.savepoint_rollback(before)


@pytest.mark.django_db(transaction=True)
def test_racing_workers_leave_no_gap_and_no_document_twice(policy):
    refunds = [paid() for _number in range(12)]
    jobs = [refund.pk for refund in refunds for _again in range(3)]

    def issue(refund_id):
        if refund_id == refunds[0].pk:  # a worker that fails after it took its number
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                settle_credit_notes(refund_id=refund_id, now=NOW)
                raise ZeroDivisionError
        return settle_credit_notes(refund_id=refund_id, now=NOW)

    issued = [note for note in race(issue, jobs) if note is not None]
    assert sorted(note.refund_id for note in issued) == sorted(refund.pk for refund in refunds)
    assert sorted(CreditNote.objects.values_list("number", flat=True)) == list(range(1, 13))
    assert connection.in_atomic_block is False
