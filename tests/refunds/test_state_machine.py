"""Any order of asking, sending, lost answers, killed workers, webhooks and waiting keeps the money true."""

from __future__ import annotations

import itertools
import os
import uuid
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from refund_plugin import clock
from refund_plugin.actor import customer_actor
from refund_plugin.errors import AlreadyRefunded, ExceedsBalance, QuantityTooHigh, WrongState
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.gateways.memory import _ledgers
from refund_plugin.gateways.services import _gateway, default_account, gateway_for
from refund_plugin.refunds import outcomes, reserve
from refund_plugin.refunds.execute import begin_attempt, call_gateway, claim_due, drive_refunds
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.states import GONE, HELD, RefundState
from tests.factories import EBOOK, LICENCE, NOW, make_purchase
from tests.refunds.helpers import CLERK, ask

EXAMPLES = int(os.environ.get("REFUND_STATE_MACHINE_EXAMPLES", "40"))
MISBEHAVIOURS = ["timeout_before_commit", "timeout_after_commit", "refused_connection", "rate_limited", "pending"]


class RefundMachine(RuleBasedStateMachine):
    """One purchase with two payments, workers that die, and a gateway that forgets to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.travelled = clock.travel(timedelta())
        self.travelled.__enter__()
        # Each example is rolled back, so that it meets no rows of another. Marked like a test case's own transaction,
        # which durable blocks and gateways do not count.
        self.block = transaction.atomic()
        self.block._from_testcase = True
        self.block.__enter__()
        self.requests = []
        _ledgers.clear()
        _gateway.cache_clear()

    @initialize(split=st.sampled_from([[4220], [2000, 2220], [1, 4219]]))
    def buy(self, split):
        self.gateway = gateway_for(default_account())
        self.purchase = make_purchase(lines=[EBOOK, LICENCE], payments=split)
        self.owner = customer_actor(customer_id=self.purchase.customer_id, store_id=self.purchase.store_id)

    @rule(which=st.integers(0, 1), quantity=st.integers(1, 3))
    def ask(self, which, quantity):
        line = self.purchase.lines.all()[which]
        with suppress(AlreadyRefunded, QuantityTooHigh, ExceedsBalance):  # nothing is left: the invariants say that nothing changed
            self.requests.append(ask(self.purchase, {line: quantity}))

    @rule()
    def drive(self):
        drive_refunds()

    @rule(misbehaviours=st.lists(st.sampled_from(MISBEHAVIOURS), min_size=1, max_size=3))
    def drive_badly(self, misbehaviours):
        self.gateway._script[:] = misbehaviours
        drive_refunds()
        self.gateway._script.clear()

    @rule(dies=st.sampled_from(["after claim", "after attempt", "after call"]))
    def worker_dies(self, dies):
        for claim in claim_due(batch=1):
            started = begin_attempt(claim) if dies != "after claim" else None
            if started and dies == "after call":
                call, command, gateway, refund = started
                call_gateway(gateway, call.purpose, command, refund.gateway_refund_id)

    @rule(hours=st.sampled_from([0.02, 0.5, 21]))
    def time_passes(self, hours):
        clock._offset += timedelta(hours=hours)

    @precondition(lambda self: self._at_gateway())
    @rule(data=st.data(), kind=st.sampled_from([AnswerKind.SUCCEEDED, AnswerKind.FAILED]), times=st.integers(1, 3))
    def webhook(self, data, kind, times):
        """The bank settles a pending refund, and the gateway tells it up to three times."""
        command, answer = data.draw(st.sampled_from(self._at_gateway()))
        if answer.kind == AnswerKind.PENDING:
            self.gateway.settle(answer.gateway_refund_id, kind)
        told = self.gateway.retrieve(answer.gateway_refund_id)
        for _time in range(times):
            record_answer(refund_id=command.refund_id, answer=told, now=NOW)

    @rule(data=st.data())
    def take_back(self, data):
        if self.requests:
            request = self.requests[data.draw(st.integers(0, len(self.requests) - 1))]
            with suppress(WrongState):  # taken back, or on its way, already
                cancel_request(request_id=request.pk, by=self.owner, now=NOW)

    @rule()
    def try_again(self):
        failed = Refund.objects.filter(request__purchase=self.purchase, state=RefundState.FAILED, successor__isnull=True).first()
        if failed:
            with suppress(ExceedsBalance):  # the customer asked anew meanwhile
                retry_refund(refund_id=failed.pk, by=CLERK, reason="again", now=NOW)

    @invariant()
    def balances_are_the_sums_of_the_refunds(self):
        if not hasattr(self, "purchase"):
            return
        for payment in self.purchase.payments.all():
            by_state = Counter()
            for refund in payment.refunds.all():
                by_state[refund.state] += refund.amount_minor
            assert payment.held_minor == sum(by_state[state] for state in HELD)
            assert payment.gone_minor == sum(by_state[state] for state in GONE)
            assert payment.held_minor + payment.gone_minor <= payment.captured_minor + payment.over_minor
            assert payment.over_minor == 0
        for line in self.purchase.lines.all():
            parts = [part for part in line.allocations.select_related("refund") if part.refund.state in HELD | GONE]
            assert line.held_minor + line.gone_minor == sum(part.gross_minor for part in parts) <= line.paid_minor
            assert line.held_quantity + line.gone_quantity == sum(part.quantity for part in parts) <= line.quantity
            assert line.refunded_tax_minor == sum(part.tax_minor for part in parts)

    @invariant()
    def the_gateway_paid_each_refund_at_most_once_and_never_more_than_captured(self):
        if not hasattr(self, "purchase"):
            return
        sent = Counter(command.refund_id for command, _answer in self._at_gateway())
        assert all(count == 1 for count in sent.values())
        for payment in self.purchase.payments.all():
            paid = [
                command.amount.minor
                for command, answer in self._at_gateway()
                if command.gateway_payment_id == payment.gateway_payment_id and answer.kind != AnswerKind.FAILED
            ]
            assert sum(paid) <= payment.captured_minor

    def teardown(self):
        try:
            if hasattr(self, "purchase"):
                self.everything_ends_and_ours_agrees_with_the_gateways()
        finally:
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)
            self.travelled.__exit__(None, None, None)

    def everything_ends_and_ours_agrees_with_the_gateways(self):
        """When the gateway is well again, no refund stays on its way."""
        for _day in range(40):
            clock._offset += timedelta(hours=1)
            drive_refunds()
            for _command, answer in self._at_gateway():
                if answer.kind == AnswerKind.PENDING:
                    self.gateway.settle(answer.gateway_refund_id, AnswerKind.SUCCEEDED)
        at_gateway = {command.refund_id: answer.kind for command, answer in self._at_gateway()}
        for refund in Refund.objects.filter(request__purchase=self.purchase):
            if refund.state == RefundState.UNKNOWN:
                assert refund.needs_person and refund.pk not in at_gateway
            elif refund.state == RefundState.SUCCEEDED:
                assert at_gateway[refund.pk] == AnswerKind.SUCCEEDED
            else:
                assert refund.state in (RefundState.FAILED, RefundState.CANCELED)
                assert at_gateway.get(refund.pk, AnswerKind.FAILED) == AnswerKind.FAILED

    def _at_gateway(self):
        payments = {payment.gateway_payment_id for payment in self.purchase.payments.all()} if hasattr(self, "purchase") else set()
        return [(row.command, row.answer) for row in self.gateway._ledger.refunds.values() if row.command.gateway_payment_id in payments]


@pytest.mark.django_db
def test_no_sequence_of_events_loses_or_doubles_money(policy, monkeypatch):
    # replaying an example must meet the same order of rows and the same waits
    numbers = itertools.count(1)
    monkeypatch.setattr(reserve.uuid, "uuid4", lambda: uuid.UUID(int=next(numbers)))
    monkeypatch.setattr(outcomes.random, "uniform", lambda low, high: 1.0)
    run_state_machine_as_test(
        RefundMachine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
        ),
    )
