"""Any order of presses, lost answers, customers, banks, retries, repetitions and time leaves Saleor's totals equal to ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from refund_plugin import clock
from refund_plugin.errors import AlreadyRefunded, ExceedsBalance, RefundPluginError
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.states import GONE, HELD, RefundState
from refund_plugin.refunds.telling.models import StoreAsk, StoreTelling
from refund_plugin.refunds.telling.services import tell_stores
from tests.refunds.helpers import CLERK, ask
from tests.saleor.money.shop import Shop, books_agree, references
from tests.saleor.standin.refusals import Refusal
from tests.saleor.standin.traps import Fault
from tests.saleor.standin.world import OrderGrantedRefund

EXAMPLES = int(os.environ.get("REFUND_SALEOR_EXAMPLES", "12"))
STEPS = 40
AMOUNTS = ("5.00", "5.00", "5.00", "10.00", "30.00")
LOST = st.sampled_from(["", "", "timeout", "502", "502_before", "garbage"])  # what becomes of our answer
FAR = st.integers(0, 3)  # how far what somebody began goes on by itself: asked, delivered, paid, told
SYNC_FAULTS = (None, None, None, "timeout", "502", "502_before", "garbage")
API_FAULTS = (None, None, None, "drop", "500", "garbage")
WAITS = (3, 11, 70, 130, 3700)


class MoneyMachine(RuleBasedStateMachine):
    """One order of thirty euros, paid through our App, and everybody who touches its money."""

    shop: Shop

    def __init__(self) -> None:
        super().__init__()
        self.travelled = clock.travel(timedelta())
        self.travelled.__enter__()
        # each example is rolled back; marked like a test case's own transaction, which durable blocks and gateways do not count
        self.block = transaction.atomic()
        self.block._from_testcase = True  # type: ignore[attr-defined]
        self.block.__enter__()
        self.standin = self.shop.standin
        self.standin.post.queue.clear()
        self.standin.post.sent.clear()
        self.standin.traps.clear()
        self.shop.gateway._script.clear()
        self.grants: list[OrderGrantedRefund] = []

    @initialize(amount=st.sampled_from(AMOUNTS), far=FAR, lost=LOST)
    def buy(self, amount: str, far: int, lost: str) -> None:
        """Two books, and somebody who grants a refund of them."""
        self.sold = self.shop.sell("10.00", "20.00")
        self.grant(amount, far, lost)

    # in Saleor's dashboard

    @rule(amount=st.sampled_from(AMOUNTS), far=FAR, lost=LOST)
    def press(self, amount: str, far: int, lost: str) -> None:
        """Somebody presses "refund" on the transaction."""
        if self.sold.transaction.charged > 0:
            self.standin.refund_at_once(self.sold.transaction, amount)
            self._go_on(far, lost)

    @rule(amount=st.sampled_from(AMOUNTS), far=FAR, lost=LOST)
    def grant(self, amount: str, far: int, lost: str = "") -> None:
        """Somebody grants a refund and sends it."""
        with suppress(Refusal):  # more than is charged now
            grant = self.standin.grant(self.sold.order, self.sold.transaction, amount)
            self.grants.append(grant)
            self.standin.send_refund(grant)
            self._go_on(far, lost)

    @rule(n=st.integers(0, 5), far=FAR, together=st.booleans())
    def send_again(self, n: int, far: int, together: bool) -> None:
        """Somebody presses "send" on a granted refund again, perhaps twice in a moment."""
        open_ones = [grant for grant in self.grants if grant.status in ("FAILURE", "NONE")]
        if open_ones:
            grant = open_ones[n % len(open_ones)]
            with suppress(Refusal):  # it is pending, or paid
                self.standin.send_refunds_together([grant, grant] if together else [grant])
                self._go_on(far)

    def _go_on(self, far: int, lost: str = "") -> None:
        if far > 0:
            if lost:
                self.standin.traps.add_sync(lost)  # type: ignore[arg-type]
            self.standin.work()
            self.standin.traps.clear()
        if far > 1:
            drive_refunds()
        if far > 2:
            self._follow()

    # between Saleor and us

    @rule(fault=st.sampled_from(SYNC_FAULTS), newest_first=st.booleans())
    def deliver(self, fault: str | None, newest_first: bool) -> None:
        """Saleor asks us what it has to ask; one answer may be lost."""
        if fault:
            self.standin.traps.add_sync(fault)  # type: ignore[arg-type]
        self.standin.work((lambda due: due[-1]) if newest_first else None)
        self.standin.traps.clear()

    @rule(n=st.integers(0, 5))
    def repeat(self, n: int) -> None:
        """An old request of Saleor arrives once more."""
        bodies = [delivery.body for delivery in self.standin.post.sent if delivery.request is not None]
        if bodies:
            self.shop.post(bodies[n % len(bodies)])

    # here

    @rule(line=st.integers(0, 1))
    def customer_asks(self, line: int) -> None:
        """A customer asks for one of the books."""
        with suppress(AlreadyRefunded, ExceedsBalance):
            ask(self.sold.purchase, {list(self.sold.purchase.lines.all())[line]: 1}, now=clock.now())

    @rule(fate=st.sampled_from(["", "pending", "timeout_after_commit", "timeout_before_commit", "refused_connection"]))
    def work(self, fate: str) -> None:
        """A worker sends what is due."""
        if fate:
            self.shop.gateway.script(fate)  # type: ignore[arg-type]
        drive_refunds()

    @rule(fault=st.sampled_from(API_FAULTS), executed=st.booleans())
    def tell(self, fault: str | None, executed: bool) -> None:
        """What follows from events is done, and Saleor is told; one of its answers may be lost."""
        if fault:
            self.standin.traps.add(Fault(fault, operation="TransactionEventReport", executed=executed))  # type: ignore[arg-type]
        self._follow()
        self.standin.traps.clear()

    @rule(n=st.integers(0, 5), ends=st.booleans(), told=st.booleans())
    def bank(self, n: int, ends: bool, told: bool) -> None:
        """A bank books what is pending, or returns money."""
        moving = [refund for refund in self.sold.refunds if refund.state in (RefundState.PENDING, RefundState.SUCCEEDED)]
        if moving:
            refund = moving[n % len(moving)]
            succeeded = ends and refund.state == RefundState.PENDING
            self.shop.hear(refund, AnswerKind.SUCCEEDED if succeeded else AnswerKind.FAILED, follow=told)

    @rule(far=st.sampled_from([0, 2, 3]))
    def clerk_retries(self, far: int) -> None:
        """A clerk sends what failed again."""
        for refund in self.sold.refunds:
            if refund.state == RefundState.FAILED and refund.owed:
                with suppress(RefundPluginError):  # its money was given to another refund
                    retry_refund(refund_id=refund.pk, by=CLERK, reason="again", now=clock.now())
                    self._go_on(far)

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: int) -> None:
        """Time passes everywhere."""
        clock._offset += timedelta(seconds=seconds)
        self.standin.clock.advance(seconds)

    @invariant()
    def never_more_than_the_charge(self) -> None:
        """What is held and gone fits into the charge, the gateway paid no more, and no reference has two amounts."""
        if not hasattr(self, "sold"):
            return
        payment = self.sold.payment
        assert payment.held_minor + payment.gone_minor <= 3000
        alive = [refund for refund in self.sold.refunds if refund.state in HELD | GONE]
        assert sum(refund.amount_minor for refund in alive) <= 3000
        for grant in self.grants:
            asks = StoreAsk.objects.filter(debt=grant.id, refund__isnull=False)
            assert sum(1 for ask_ in asks.values("refund").distinct() if Refund.objects.get(pk=ask_["refund"]) in alive) <= 1
        assert all(len(amounts) == 1 for amounts in references(self.sold).values())

    def teardown(self) -> None:
        """Everything that is under way ends; then both sides say the same."""
        try:
            if hasattr(self, "sold"):
                self._end()
        finally:
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)
            self.travelled.__exit__(None, None, None)

    def _end(self) -> None:
        self.standin.traps.clear()
        self.shop.gateway._script.clear()
        self._until(lambda: not self.standin.post.queue, "Saleor's requests")
        self._until(lambda: not any(refund.state in HELD for refund in self.sold.refunds), "our refunds")
        self._follow()
        self._until(lambda: not StoreTelling.objects.filter(due_at__isnull=False).exists(), "what Saleor is told")
        assert books_agree(self.sold)

    def _until(self, over: Callable[[], bool], what: str) -> None:
        for _turn in range(30):
            if over():
                return
            self.wait(700)
            self.standin.work()
            for refund in self.sold.refunds:
                if refund.state == RefundState.PENDING:
                    self.shop.hear(refund, AnswerKind.SUCCEEDED, follow=False)
            drive_refunds()
            self._follow()
        raise AssertionError(
            f"{what} did not end: {[(refund.state, refund.waits_for, refund.needs_person) for refund in self.sold.refunds]}"
        )

    def _follow(self) -> None:
        while deliver_due():
            pass
        tell_stores(clock.now())


@pytest.mark.django_db
@pytest.mark.parametrize("standin", ["3.23"], indirect=True)
def test_no_order_of_events_pays_twice_or_leaves_the_two_books_apart(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    MoneyMachine.shop = shop
    run_state_machine_as_test(
        MoneyMachine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
        ),
    )
