"""A refund of what is left of a subscription ends it first; what slips in is given back; invoices learn of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from refund_plugin import clock
from refund_plugin.errors import WrongState
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.gateways.sales import SubscriptionState
from refund_plugin.gateways.services import default_account, gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData
from refund_plugin.orders.models import Purchase
from refund_plugin.orders.services import record_purchase
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.externals import record_external
from refund_plugin.refunds.manual.services import look_at_refund
from refund_plugin.refunds.models import Alert, Refund, RefundRequest
from refund_plugin.refunds.outcomes import ELSEWHERE, NOT_ENDED, record_answer
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.subscriptions.invoice_notes import record_notes
from refund_plugin.refunds.subscriptions.models import EndState, InvoiceNote, SubscriptionEnd
from refund_plugin.refunds.subscriptions.renewals import refund_renewals
from refund_plugin.refunds.subscriptions.services import confirm_ended, drive_ends
from refund_plugin.refunds.sweep import sweep_once
from refund_plugin.rules import MoneyBack, ProRated, Selector
from refund_plugin.stores.services import ensure_default_store
from tests.factories import NOW, publish_policy
from tests.refunds.helpers import CLERK, ask, only_refund

STARTED = NOW - timedelta(days=10)
PLAN = LineData(
    sku="PLAN-1",
    name="Plan",
    product_type="plan",
    paid_minor=3000,
    tax_minor=479,
    term_start=STARTED,
    term_end=STARTED + timedelta(days=30),
)
CLAUSES = (
    ProRated(anchor="plans", by="day", selector=Selector(product_types=frozenset({"plan"}))),
    MoneyBack(anchor="guarantee", window_days=30),
)


@pytest.fixture
def gateway(gateway: MemoryGateway, settings: Any) -> MemoryGateway:
    """A gateway in memory without a limit of its rate, whose row would remember the time that a test travelled to."""
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "RATE_PER_SECOND": 0}
    unlimited = gateway_for(default_account())
    assert isinstance(unlimited, MemoryGateway)
    return unlimited


@pytest.fixture(autouse=True)
def plans(gateway: MemoryGateway) -> None:
    publish_policy(clauses=CLAUSES)


def buy(
    gateway: MemoryGateway, *lines: LineData, number: str = "F-1", paid_at: datetime = STARTED, subscription: str = "sub_1"
) -> Purchase:
    """Record a period of a subscription that the gateway knows."""
    lines = lines or (PLAN,)
    total = sum(line.paid_minor for line in lines)
    payment = PaymentData(
        gateway_payment_id=f"pi_{number}",
        captured_minor=total,
        captured_at=paid_at,
        subscription_id=subscription,
        invoice_id=f"in_{number}" if subscription else "",
    )
    data = PurchaseData(
        number=number, email="ada@example.com", currency="EUR", purchased_at=paid_at, lines=tuple(lines), payments=(payment,)
    )
    purchase, _created = record_purchase(store=ensure_default_store(), data=data, now=paid_at)
    gateway.add_payment(payment.gateway_payment_id, Money(total, "EUR"))
    if subscription and isinstance(gateway.subscription_state(subscription), GatewayAnswer):
        gateway.add_subscription(SubscriptionState(subscription, "active", is_ended=False))
    return purchase


def is_ended(gateway: MemoryGateway, subscription: str = "sub_1") -> bool:
    state = gateway.subscription_state(subscription)
    assert isinstance(state, SubscriptionState)
    return state.is_ended


def answer_with(monkeypatch: pytest.MonkeyPatch, gateway: MemoryGateway, name: str, *answers: Any) -> list[dict[str, Any]]:
    """Let the next calls of a gateway's method answer this instead; return the arguments of all calls."""
    calls, real, script = [], getattr(gateway, name), list(answers)

    def call(*args: Any, **arguments: Any) -> Any:
        calls.append({"args": args, **arguments})
        return script.pop(0) if script else real(*args, **arguments)

    monkeypatch.setattr(gateway, name, call)
    return calls


SILENCE = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="timeout")
REFUSAL = GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="resource_missing", message="No such subscription")


def test_the_money_goes_only_after_the_subscription_has_ended_and_as_quoted(gateway: MemoryGateway) -> None:
    request = ask(buy(gateway))
    refund = only_refund(request)
    assert (refund.amount_minor, refund.waits_for, refund.state) == (2000, "subscription", "reserved")
    assert SubscriptionEnd.objects.get().quoted_at == NOW

    drive_refunds()
    assert gateway.sent == []
    assert not is_ended(gateway)

    drive_ends(NOW + timedelta(days=2))  # however late: the amount is the quote's
    assert is_ended(gateway)
    drive_refunds()
    refund.refresh_from_db()
    assert (refund.state, refund.amount_minor, refund.waits_for) == ("succeeded", 2000, "")
    assert SubscriptionEnd.objects.get().state == EndState.ENDED


def test_the_sweep_does_all_of_it(gateway: MemoryGateway) -> None:
    ask(buy(gateway))
    sweep_once(NOW)
    sweep_once(NOW)
    assert [command.amount.minor for command in gateway.sent] == [2000]
    assert InvoiceNote.objects.get().number == "CN-1"


@pytest.mark.parametrize("case", ["no subscription", "the term is over", "a part of the seats", "a part of the plan"])
def test_a_refund_that_leaves_a_term_running_ends_nothing(gateway: MemoryGateway, case: str) -> None:
    quantities = None
    if case == "no subscription":
        purchase = buy(gateway, subscription="")
    elif case == "the term is over":
        purchase = buy(gateway, replace(PLAN, product_type="", term_end=NOW - timedelta(days=1)))
    elif case == "a part of the seats":
        purchase = buy(gateway, replace(PLAN, quantity=3))
        quantities = {purchase.lines.get(): 1}
    else:
        purchase = buy(gateway, PLAN, replace(PLAN, sku="EXTRA-1"))
        quantities = {purchase.lines.get(sku="EXTRA-1"): 1}

    assert only_refund(ask(purchase, quantities)).waits_for == ""
    assert not SubscriptionEnd.objects.exists()


def test_an_extra_that_cost_nothing_does_not_keep_the_subscription_alive(gateway: MemoryGateway) -> None:
    free = replace(PLAN, sku="FREE-1", name="Included for nothing", paid_minor=0, tax_minor=0)
    purchase = buy(gateway, PLAN, free)
    request = ask(purchase, {purchase.lines.get(sku="PLAN-1"): 1})
    assert only_refund(request).waits_for == "subscription"
    drive_ends(NOW)
    assert is_ended(gateway)


def test_all_seats_that_are_left_end_the_subscription(gateway: MemoryGateway) -> None:
    purchase = buy(gateway, replace(PLAN, quantity=3), replace(PLAN, sku="EXTRA-1"))
    line = purchase.lines.get(sku="PLAN-1")
    assert only_refund(ask(purchase, {line: 2})).waits_for == ""
    assert only_refund(ask(purchase, {line: 1, purchase.lines.get(sku="EXTRA-1"): 1})).waits_for == "subscription"


@pytest.mark.parametrize(("amount", "waits_for"), [(500, ""), (1999, ""), (2000, "subscription"), (3000, "subscription")])
def test_a_favour_of_a_person_ends_nothing_and_the_whole_rest_does(gateway: MemoryGateway, amount: int, waits_for: str) -> None:
    purchase = buy(gateway)
    request = ask(purchase, to_review=True)
    approve_request(request_id=request.pk, by=CLERK, reason="kind", amounts={purchase.lines.get().pk: amount}, now=NOW)
    assert only_refund(request).waits_for == waits_for


def test_a_refund_that_is_taken_back_in_time_leaves_the_subscription_alone(gateway: MemoryGateway) -> None:
    request = ask(buy(gateway))
    cancel_request(request_id=request.pk, by=CLERK, now=NOW)

    drive_ends(NOW)

    assert not is_ended(gateway)
    assert SubscriptionEnd.objects.get().state == EndState.DROPPED
    again = ask(Purchase.objects.get())
    drive_ends(NOW)
    assert is_ended(gateway)
    assert only_refund(again).waits_for == ""


def test_a_refund_cannot_be_taken_back_while_the_gateway_is_asked(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(buy(gateway))
    real = gateway.end_subscription

    def end(subscription_id: str, **arguments: Any) -> GatewayAnswer:
        with pytest.raises(WrongState):
            cancel_request(request_id=request.pk, by=CLERK, now=NOW)
        return real(subscription_id, **arguments)

    monkeypatch.setattr(gateway, "end_subscription", end)
    drive_ends(NOW)
    drive_refunds()
    assert only_refund(request).state == "succeeded"


def test_a_lost_answer_is_asked_for_again_and_nothing_is_sent_before(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer_with(monkeypatch, gateway, "end_subscription", SILENCE, SILENCE)
    request = ask(buy(gateway))
    for minutes in range(3):
        with clock.travel(timedelta(minutes=minutes)):
            drive_refunds()
            assert gateway.sent == []
            drive_ends(NOW)
    drive_refunds()
    assert only_refund(request).state == "succeeded"
    assert len({call["idempotency_key"] for call in calls}) == 3  # an error that is kept under a key would stay


def test_a_subscription_that_cannot_be_ended_waits_for_a_person_who_ends_it(
    gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(monkeypatch, gateway, "end_subscription", REFUSAL)
    request = ask(buy(gateway))
    drive_ends(NOW)
    drive_refunds()
    refund = only_refund(request)
    assert (refund.state, refund.waits_for, refund.needs_person) == ("reserved", "person", NOT_ENDED)
    alert = Alert.objects.get()
    assert (alert.kind, "No such subscription" in alert.why) == ("subscription_not_ended", True)

    assert confirm_ended(account=default_account(), subscription_id="sub_1", now=NOW)
    drive_refunds()
    assert only_refund(request).state == "succeeded"


def refund_elsewhere(request: RefundRequest) -> None:
    answer = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_elsewhere", amount=Money(100, "EUR"))
    record_external(payment_id=only_refund(request).payment_id, answer=answer, told_at=NOW, now=NOW)


def look(request: RefundRequest) -> Refund:
    return look_at_refund(refund_id=only_refund(request).pk, by=CLERK, note="That was something else.", now=NOW)


def test_what_is_stopped_while_its_subscription_ends_waits_for_the_end_first_and_then_for_a_person(gateway: MemoryGateway) -> None:
    request = ask(buy(gateway))
    refund_elsewhere(request)
    refund = only_refund(request)
    assert (refund.waits_for, refund.needs_person) == ("subscription", ELSEWHERE)

    drive_ends(NOW)
    drive_refunds()
    refund = only_refund(request)
    assert is_ended(gateway) and gateway.sent == []
    assert (refund.state, refund.waits_for, refund.needs_person, refund.lease_until) == ("reserved", "person", ELSEWHERE, None)

    look(request)
    drive_refunds()
    assert only_refund(request).state == "succeeded"


def test_somebody_who_looks_before_the_subscription_has_ended_does_not_let_the_refund_overtake_the_end(gateway: MemoryGateway) -> None:
    request = ask(buy(gateway))
    refund_elsewhere(request)
    look(request)
    drive_refunds()
    assert (only_refund(request).waits_for, gateway.sent) == ("subscription", [])

    drive_ends(NOW)
    drive_refunds()
    assert is_ended(gateway) and only_refund(request).state == "succeeded"


@pytest.mark.parametrize("refused_first", [True, False])
def test_what_is_stopped_and_cannot_be_ended_keeps_both_reasons(
    gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch, refused_first: bool
) -> None:
    answer_with(monkeypatch, gateway, "end_subscription", REFUSAL)
    request = ask(buy(gateway))
    steps = [lambda: drive_ends(NOW), lambda: refund_elsewhere(request)]
    for step in steps if refused_first else reversed(steps):
        step()
    assert only_refund(request).needs_person == ELSEWHERE

    refund = look(request)
    drive_refunds()
    assert (refund.waits_for, refund.needs_person, refund.lease_until, gateway.sent) == ("person", NOT_ENDED, None, [])
    confirm_ended(account=default_account(), subscription_id="sub_1", now=NOW)
    drive_refunds()
    assert only_refund(request).state == "succeeded"


def test_the_gateways_word_that_it_ended_is_enough_and_may_come_twice(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, gateway, "end_subscription", SILENCE)
    request = ask(buy(gateway))
    drive_ends(NOW)
    assert confirm_ended(account=default_account(), subscription_id="sub_1", now=NOW)
    assert not confirm_ended(account=default_account(), subscription_id="sub_1", now=NOW)
    assert not confirm_ended(account=default_account(), subscription_id="sub_other", now=NOW)
    drive_refunds()
    assert only_refund(request).state == "succeeded"


def test_a_worker_that_dies_while_asking_is_succeeded_by_another(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(buy(gateway))

    def die(*args: Any, **arguments: Any) -> GatewayAnswer:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(gateway, "end_subscription", die)
        with pytest.raises(SystemExit):
            drive_ends(NOW)
    assert drive_ends(NOW) == 0
    with clock.travel(timedelta(minutes=2)):
        assert drive_ends(NOW) == 1
        drive_refunds()
    assert only_refund(request).state == "succeeded"


def renew(gateway: MemoryGateway, *, paid_at: datetime, number: str = "F-2") -> Purchase:
    line = replace(PLAN, term_start=paid_at, term_end=paid_at + timedelta(days=30))
    return buy(gateway, line, number=number, paid_at=paid_at)


def test_a_renewal_that_slips_in_is_given_back_in_full_once(gateway: MemoryGateway) -> None:
    ask(buy(gateway))
    renewed = renew(gateway, paid_at=NOW + timedelta(seconds=30))
    assert refund_renewals(NOW) == 0  # the refund may still be taken back
    drive_ends(NOW)

    assert refund_renewals(NOW) == 1
    assert refund_renewals(NOW) == 0

    request = RefundRequest.objects.get(purchase=renewed)
    decision = request.decisions.get()
    assert (request.state, decision.actor_kind, decision.amount_minor) == ("approved", "engine", 3000)
    assert "renewed after its refund was asked for" in decision.reason
    drive_refunds()
    assert sorted(command.amount.minor for command in gateway.sent) == [2000, 3000]
    assert deliver_due() > 0
    assert not Alert.objects.exists()


def test_earlier_periods_and_other_subscriptions_are_no_renewals_that_slipped_in(gateway: MemoryGateway) -> None:
    renew(gateway, paid_at=STARTED - timedelta(days=30), number="F-0")
    ask(buy(gateway))
    buy(gateway, number="G-1", paid_at=NOW + timedelta(seconds=30), subscription="sub_2")
    drive_ends(NOW)
    assert refund_renewals(NOW) == 0


def test_a_renewal_waits_for_a_person_when_the_policy_may_not_move_money_by_itself(gateway: MemoryGateway, settings: Any) -> None:
    purchase = buy(gateway)
    ask(purchase)
    renewed = renew(gateway, paid_at=NOW + timedelta(seconds=30))
    drive_ends(NOW)
    brake = purchase.store.automatic_money
    brake.mode = "suggest"
    brake.save()

    assert refund_renewals(NOW) == 1
    request = RefundRequest.objects.get(purchase=renewed)
    assert (request.state, request.refunds.count()) == ("in_review", 0)


def test_the_invoice_gets_a_credit_note_after_the_money_has_gone(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer_with(monkeypatch, gateway, "record_credit_note", SILENCE)
    request = ask(buy(gateway))
    assert record_notes(NOW) == 0
    drive_ends(NOW)
    drive_refunds()

    assert record_notes(NOW) == 1  # no answer
    assert record_notes(NOW) == 0
    with clock.travel(timedelta(minutes=1)):
        assert record_notes(NOW) == 1
        assert record_notes(NOW) == 0

    refund = only_refund(request)
    assert [(call["invoice_id"], call["gateway_refund_id"], call["amount"]) for call in calls] == [
        ("in_F-1", refund.gateway_refund_id, Money(2000, "EUR"))
    ] * 2
    assert len({call["idempotency_key"] for call in calls}) == 1
    assert (refund.state, InvoiceNote.objects.get().number) == ("succeeded", "CN-1")


def test_a_credit_note_that_is_refused_is_staffs_matter_and_not_the_moneys(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, gateway, "record_credit_note", REFUSAL)
    request = ask(buy(gateway))
    drive_ends(NOW)
    drive_refunds()
    record_notes(NOW)
    assert Alert.objects.get().kind == "invoice_note_failed"
    assert only_refund(request).state == "succeeded"
    with clock.travel(timedelta(days=1)):
        assert record_notes(NOW) == 0


LETS_STAND = GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="invalid_request_error", message="The invoice is not open")


def bounce(gateway: MemoryGateway) -> Refund:
    """Refund a plan, record its credit note, and let the bank return the money."""
    request = ask(buy(gateway))
    drive_ends(NOW)
    drive_refunds()
    record_notes(NOW)
    refund = only_refund(request)
    assert InvoiceNote.objects.get().gateway_note_id == "memory_credit_note_1"
    failed = GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=refund.gateway_refund_id, amount=refund.amount, code="declined")
    gateway.settle(refund.gateway_refund_id, AnswerKind.FAILED)
    record_answer(refund_id=refund.pk, answer=failed, now=NOW)
    deliver_due()
    return refund


def pay_again(failed: Refund, gateway: MemoryGateway) -> Refund:
    successor = retry_refund(refund_id=failed.pk, by=CLERK, reason="another try", now=NOW)
    drive_refunds()
    record_notes(NOW)
    successor.refresh_from_db()
    assert successor.state == "succeeded"
    return successor


def test_a_credit_note_is_voided_when_the_bank_returns_the_money_and_the_next_try_gets_its_own(gateway: MemoryGateway) -> None:
    failed = bounce(gateway)
    record_notes(NOW)
    assert gateway._ledger.voided_notes == {"memory_credit_note_1"}
    assert record_notes(NOW) == 0

    successor = pay_again(failed, gateway)
    assert successor.invoice_note.gateway_note_id == "memory_credit_note_2"
    assert not Alert.objects.filter(kind__startswith="invoice_note").exists()


def test_voiding_is_tried_again_until_there_is_an_answer(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer_with(monkeypatch, gateway, "void_credit_note", SILENCE)
    bounce(gateway)
    assert (record_notes(NOW), record_notes(NOW)) == (1, 0)
    with clock.travel(timedelta(minutes=2)):
        assert (record_notes(NOW), record_notes(NOW)) == (1, 0)
    assert len(calls) == 2
    assert gateway._ledger.voided_notes == {"memory_credit_note_1"}


def test_a_credit_note_that_the_gateway_lets_stand_is_told_and_passes_to_the_next_try(
    gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(monkeypatch, gateway, "void_credit_note", LETS_STAND)
    failed = bounce(gateway)
    record_notes(NOW)
    alert = Alert.objects.get(kind="invoice_note_stands")
    assert "CN-1" in alert.why
    assert "in_F-1" in alert.why

    successor = pay_again(failed, gateway)
    assert (successor.invoice_note.number, len(gateway._ledger.credit_notes)) == ("CN-1", 1), "the invoice is not credited twice"
    assert record_notes(NOW) == 0


def test_a_refund_that_fails_while_its_credit_note_is_recorded_has_it_voided(
    gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(buy(gateway))
    drive_ends(NOW)
    drive_refunds()
    refund, real = only_refund(request), gateway.record_credit_note

    def record_late(**arguments: Any) -> Any:
        note = real(**arguments)
        failed = GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=refund.gateway_refund_id, amount=refund.amount)
        record_answer(refund_id=refund.pk, answer=failed, now=NOW)
        deliver_due()
        return note

    monkeypatch.setattr(gateway, "record_credit_note", record_late)
    record_notes(NOW)
    record_notes(NOW)
    assert gateway._ledger.voided_notes == {"memory_credit_note_1"}


def test_an_end_that_is_dropped_in_the_same_moment_is_wanted_anew(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel_request(request_id=ask(buy(gateway)).pk, by=CLERK, now=NOW)
    manager, real = SubscriptionEnd.objects, SubscriptionEnd.objects.bulk_create
    drops = iter([True])

    def insert_and_be_dropped(*args: Any, **arguments: Any) -> Any:
        found = real(*args, **arguments)
        if next(drops, False):  # what another worker does that cannot see our refund yet
            SubscriptionEnd.objects.filter(state=EndState.WANTED).update(state=EndState.DROPPED)
        return found

    monkeypatch.setattr(manager, "bulk_create", insert_and_be_dropped)
    again = ask(Purchase.objects.get())
    assert sorted(SubscriptionEnd.objects.values_list("state", flat=True)) == [EndState.DROPPED, EndState.WANTED]
    drive_ends(NOW)
    drive_refunds()
    assert only_refund(again).state == "succeeded"


def test_a_clock_that_is_ahead_hides_no_renewal(gateway: MemoryGateway) -> None:
    now = clock.database_now()
    plan = replace(PLAN, term_start=now - timedelta(days=10), term_end=now + timedelta(days=20))
    ask(buy(gateway, plan, paid_at=now - timedelta(days=10)), now=now + timedelta(hours=1))
    end = SubscriptionEnd.objects.get()
    assert now <= end.quoted_at < now + timedelta(minutes=30)


def test_a_refund_that_is_taken_back_gets_no_credit_note(gateway: MemoryGateway) -> None:
    cancel_request(request_id=ask(buy(gateway)).pk, by=CLERK, now=NOW)
    record_notes(NOW)
    assert not InvoiceNote.objects.exists()
