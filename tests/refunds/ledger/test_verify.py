"""The comparison of everything: silent while all is well, and it names what somebody or something has changed."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.db.models import F
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from refund_plugin import duties
from refund_plugin.errors import ExceedsBalance, NotFound, WrongState
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.orders.models import Payment, PurchaseLine
from refund_plugin.refunds.balances import Balances
from refund_plugin.refunds.ledger.models import Account, LedgerEntry, LedgerEvent
from refund_plugin.refunds.ledger.services import Movement, Posting, post
from refund_plugin.refunds.ledger.verify import ALERT_KIND, run_duty, verify
from refund_plugin.refunds.locks import lock_payment
from refund_plugin.refunds.models import Alert, Allocation, Refund, RefundOrigin, RefundRequest
from refund_plugin.refunds.outcomes import do_apply, record_answer
from refund_plugin.refunds.retry import give_up_refund, retry_refund
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.states import RefundEvent, RefundState
from refund_plugin.stores.models import Store
from tests.factories import COURSE, EBOOK, LICENCE, NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

pytestmark = pytest.mark.django_db

PERSONS = (RefundEvent.PERSON_CLAIMS, RefundEvent.PROOF_GIVEN, RefundEvent.PERSON_RELEASES, RefundEvent.CANCEL)
FACTS = (AnswerKind.PENDING, AnswerKind.SUCCEEDED, AnswerKind.FAILED, AnswerKind.CANCELED)


def told(refund: Refund, kind: AnswerKind) -> None:
    answer = GatewayAnswer(kind=kind, gateway_refund_id=f"re_{refund.pk.hex}", amount=refund.amount)
    record_answer(refund_id=refund.pk, answer=answer, now=NOW)


def person(refund: Refund, event: RefundEvent) -> None:
    """Move a refund the way the services of the manual way do."""
    with transaction.atomic():
        balances = Balances.lock([refund.pk])
        row = balances.refunds[refund.pk]
        if event == RefundEvent.PROOF_GIVEN:
            row.proof = {"method": "store_credit" if row.amount_minor % 2 else "transfer"}
        try:
            do_apply(balances, row, event, actor=CLERK, now=NOW)
        except WrongState:
            return
        balances.write(now=NOW)


def external(payment_id: int, amount_minor: int) -> Refund:
    """A refund that somebody made in the gateway's dashboard."""
    with transaction.atomic():
        payment = lock_payment(payment_id)
        assert payment is not None
        refund = Refund.objects.create(
            store=payment.purchase.store,
            payment=payment,
            account=payment.account,
            livemode=payment.livemode,
            amount_minor=amount_minor,
            currency=payment.currency,
            origin=RefundOrigin.EXTERNAL,
            owed=False,
            idempotency_key=f"external-{uuid.uuid4()}",
            due_at=NOW,
            created_at=NOW,
            reserved_at=NOW,
            state=RefundState.RESERVED,
        )
        payment.held_minor += amount_minor
        payment.unallocated_minor += amount_minor
        payment.over_minor = max(0, payment.held_minor + payment.gone_minor - payment.captured_minor)
        payment.save()
    told(refund, AnswerKind.SUCCEEDED)
    return refund


def differences() -> set[tuple[str, str]]:
    return {(difference.check, difference.field) for difference in verify().differences}


def test_an_empty_store_agrees(policy):
    report = verify()
    assert report.fine
    assert report.totals == {}


STEP = st.tuples(st.sampled_from(["fact", "person", "retry", "give_up", "cancel", "external"]), st.integers(0, 11))


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=14))
def test_whatever_happens_to_refunds_everything_agrees(policy, steps):
    before = transaction.savepoint()
    purchase = make_purchase(lines=[EBOOK, COURSE, LICENCE], payments=[4000, 3207])
    first, second, third = purchase.lines.all()
    requests = [ask(purchase, {first: 1, second: 1}), ask(purchase, {third: 2})]
    refunds: list[Refund] = []
    for what, number in steps:
        new = Refund.objects.filter(payment__purchase=purchase).exclude(pk__in=[refund.pk for refund in refunds])
        refunds += new.order_by("payment_id", "amount_minor")
        try:
            happen(what, number, refunds[number % len(refunds)], requests[number % 2])
        except (NotFound, WrongState, ExceedsBalance):
            continue
    report = verify()
    assert [str(difference) for difference in report.differences] == []
    assert sum(debit for debit, _credit in report.totals.values()) == sum(credit for _debit, credit in report.totals.values()) > 0
    transaction.savepoint_rollback(before)


def happen(what: str, number: int, refund: Refund, request: RefundRequest) -> None:
    """Let one thing happen; some of them are refused."""
    if what == "fact":
        told(refund, FACTS[number % 4])
    elif what == "person":
        person(refund, PERSONS[number % 4])
    elif what == "retry":
        retry_refund(refund_id=refund.pk, by=CLERK, reason="again", now=NOW)
    elif what == "give_up":
        give_up_refund(refund_id=refund.pk, by=CLERK, reason="not wanted", now=NOW)
    elif what == "cancel":
        cancel_request(request_id=request.pk, by=CLERK, now=NOW)
    else:
        external(refund.payment_id, 100 + number)


@pytest.fixture
def paid(policy):
    """A refund that succeeded."""
    refund = only_refund(ask(make_purchase()))
    told(refund, AnswerKind.SUCCEEDED)
    return refund


@pytest.mark.parametrize(("field", "name"), [("held_minor", "held"), ("gone_minor", "gone"), ("unallocated_minor", "unallocated")])
def test_a_changed_balance_of_a_payment_is_named(paid, field, name):
    Payment.objects.update(**{field: F(field) + 1}, captured_minor=F("captured_minor") + 10)
    report = verify()
    assert ("payment", name) in {(difference.check, difference.field) for difference in report.differences}
    assert {difference.subject for difference in report.differences} == {str(paid.payment_id)}


def test_a_dispute_that_the_ledger_does_not_know_is_named(paid):
    Payment.objects.update(disputed_minor=7, captured_minor=F("captured_minor") + 7)
    assert differences() == {("payment", "disputed in the ledger")}


@pytest.mark.parametrize(
    ("field", "name"),
    [("held_minor", "held"), ("gone_minor", "gone"), ("refunded_tax_minor", "tax"), ("over_minor", "over")],
)
def test_a_changed_balance_of_a_line_is_named(paid, field, name):
    PurchaseLine.objects.update(paid_minor=F("paid_minor") + 10)
    PurchaseLine.objects.update(**{field: F(field) + 1})
    assert differences() == {("line", name)}


def test_changed_units_of_a_line_are_named(paid):
    PurchaseLine.objects.update(quantity=9, held_quantity=1, gone_quantity=3)
    assert differences() == {("line", "units held"), ("line", "units gone")}


def test_a_refund_whose_money_the_ledger_has_elsewhere_is_named(paid):
    postings = [Posting(Account.GATEWAY_CLEARING, debit=5), Posting(Account.BANK, credit=5)]
    post(Movement(LedgerEvent.SUCCEEDED, paid.store_id, "EUR", postings, refund=paid), now=NOW)
    found = [difference for difference in verify().differences if difference.check == "refund"]
    assert [(difference.field, difference.stored, difference.derived) for difference in found] == [
        ("gone at the gateway", 1815, 1820),
        ("paid by hand", 5, 0),
    ]
    assert {difference.subject for difference in found} == {str(paid.pk)}


def test_a_debt_that_was_dropped_without_a_movement_is_named(policy):
    refund = only_refund(ask(make_purchase()))
    Refund.objects.filter(pk=refund.pk).update(owed=False)
    assert differences() == {("refund", "owed to the customer")}


def test_parts_that_do_not_add_up_to_the_refund_are_named(paid):
    Allocation.objects.update(gross_minor=F("gross_minor") + 1)
    assert ("allocations", "sum of the parts") in differences()


def test_a_movement_that_does_not_balance_is_named(paid):
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # which refuses such a movement as long as its triggers are on
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks still to be made cannot be altered
            cursor.execute(f"ALTER TABLE {LedgerEntry._meta.db_table} DISABLE TRIGGER USER")
    entry = LedgerEntry.objects.create(
        event=LedgerEvent.FEE, account=Account.FEE, debit_minor=3, currency="EUR", store=paid.store, recorded_at=NOW
    )
    found = {(difference.check, difference.subject): (difference.stored, difference.derived) for difference in verify().differences}
    assert found[("movement", str(entry.movement))] == (3, 0)
    assert ("currency", "EUR") in found


def test_a_successor_of_another_amount_is_named(policy):
    refund = only_refund(ask(make_purchase()))
    told(refund, AnswerKind.FAILED)
    successor = retry_refund(refund_id=refund.pk, by=CLERK, reason="again", now=NOW)
    assert verify().fine
    Refund.objects.filter(pk=successor.pk).update(amount_minor=F("amount_minor") - 1)
    assert ("successor", "amount") in differences()


def test_only_the_chosen_store_is_compared(paid):
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    Payment.objects.update(held_minor=1, captured_minor=F("captured_minor") + 10)
    assert verify(store_id=other.pk).fine
    assert not verify(store_id=paid.store_id).fine


def test_the_number_of_statements_does_not_depend_on_the_rows(paid, django_assert_num_queries):
    for _number in range(3):
        ask(make_purchase())
    with django_assert_num_queries(18):  # eleven comparisons, totals, four counts, a savepoint and its end
        verify()


def test_once_a_day_an_alert_is_raised_while_something_differs(paid):
    assert run_duty(NOW) == 0
    assert not Alert.objects.filter(kind=ALERT_KIND).exists()
    Payment.objects.update(held_minor=1, captured_minor=F("captured_minor") + 10)
    assert run_duty(NOW) == 1
    assert run_duty(NOW) == 1
    assert "held is 1" in Alert.objects.get(kind=ALERT_KIND).why
    assert ("verify_ledger", 24 * 3600) in {(duty.name, duty.every_seconds) for duty in duties.duties()}


@pytest.mark.django_db(transaction=True)
def test_what_changes_while_it_compares_is_not_taken_for_a_difference(policy):
    told(only_refund(ask(make_purchase())), AnswerKind.SUCCEEDED)

    def change() -> None:
        Payment.objects.update(held_minor=1, captured_minor=F("captured_minor") + 10)
        connection.close()

    def busy(name: str) -> None:
        if name == "payment" and connection.vendor == "postgresql":  # SQLite lets nobody write meanwhile
            with ThreadPoolExecutor(1) as pool:
                pool.submit(change).result()

    assert verify(progress=busy).fine
    assert verify().fine is (connection.vendor == "sqlite")
