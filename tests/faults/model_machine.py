"""A machine that lets everything happen to one purchase, in any order, on the real services and a database.

Requests, decisions, workers that die, sleep and wake, a gateway that answers badly or not at all, banks, webhooks, the dashboard,
disputes, people who pay by hand, time, and a broker that forgets. Hypothesis chooses what happens next and shortens what breaks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from refund_plugin import clock
from refund_plugin.actor import Actor, customer_actor
from refund_plugin.errors import AlreadyRefunded, ExceedsBalance, InvalidInput, QuantityTooHigh, WrongState
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.facts import WebhookDispute
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.gateways.services import default_account, gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment, Purchase
from refund_plugin.refunds.calls import call_gateway
from refund_plugin.refunds.disputes import record_dispute
from refund_plugin.refunds.execute import Started, begin_attempts, claim_due
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.refunds.manual.services import claim_by_hand, give_proof, look_at_refund, release_claim, report_bounced
from refund_plugin.refunds.models import AttemptPurpose, Refund, RefundOrigin, RefundRequest, WaitsFor
from refund_plugin.refunds.outcomes import Told, record_answers
from refund_plugin.refunds.retry import give_up_refund, retry_refund
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.states import DRIVEN, RefundState, RequestState
from refund_plugin.refunds.take_back import take_back_refund
from tests.factories import NOW
from tests.faults.model_books import (
    ALIVE,
    DIES_ANSWERED,
    DIES_BEGUN,
    DIES_CLAIMED,
    FATES,
    KEY_LIFE,
    MISBEHAVIOURS,
    PAUSES,
    SLEEP,
    SLEEPS_ANSWERED,
    SLEEPS_BEGUN,
    SOON,
    WHAT_MAY_HAPPEN,
    Row,
    Sleeper,
    check_books,
)
from tests.refunds.helpers import CLERK, ask


class RefundMachine(RuleBasedStateMachine):
    """One purchase and all that may happen to its money.

    Attributes:
        purchases: made once for all examples: every example is rolled back.
    """

    purchases: tuple[Purchase, ...]

    def __init__(self) -> None:
        super().__init__()
        self.travelled = clock.travel(timedelta())
        self.travelled.__enter__()
        # Each example is rolled back, so that it meets no rows of another. Marked like a test case's own transaction,
        # which durable blocks and gateways do not count.
        self.block = transaction.atomic()
        self.block._from_testcase = True  # type: ignore[attr-defined]
        self.block.__enter__()
        self.account = default_account()
        gateway = gateway_for(self.account)
        assert isinstance(gateway, MemoryGateway)
        self.gateway = gateway
        self.gateway._ledger.refunds.clear()
        self.gateway._ledger.keys.clear()
        self.gateway._ledger.lag = timedelta()
        self.sleepers: list[Sleeper] = []
        self.messages: list[Seen] = []
        self.told: dict[str, AnswerKind] = {}
        self.key_times: dict[str, datetime] = {}
        self.disputes: dict[int, bool] = {}  # by payment, whether it is open
        self.rows: list[Row] = []
        self.requests: list[tuple[UUID, str]] = []
        self.checked = -1

    @initialize(which=st.integers(0, 2), asked=st.lists(st.integers(0, 3), min_size=1, max_size=2))
    def buy(self, which: int, asked: list[int]) -> None:
        """Three splits over payments, and somebody who asks at once."""
        self.purchase = self.purchases[which]
        self.owner: Actor = customer_actor(customer_id=self.purchase.customer_id, store_id=self.purchase.store_id)
        self.lines = list(self.purchase.lines.order_by("pk"))
        self.payments = list(self.purchase.payments.order_by("pk"))
        for payment in self.payments:
            self.gateway.add_payment(payment.gateway_payment_id, Money(payment.captured_minor, "EUR"))
        for n in asked:
            self.ask(n)

    @rule(what=st.sampled_from(WHAT_MAY_HAPPEN), n=st.integers(0, 95))
    def happens(self, what: str, n: int) -> None:
        """Something happens; `n` chooses in which way."""
        getattr(self, what)(n)

    # the customer and the staff

    def ask(self, n: int) -> None:
        """Up to a limit the policy approves; more waits for a person."""
        with suppress(AlreadyRefunded, QuantityTooHigh, ExceedsBalance):  # nothing is left: the invariants say that nothing changed
            ask(self.purchase, {self.lines[n % 2]: 1 + n // 2 % 3}, now=NOW)

    def approve(self, n: int) -> None:
        """A clerk approves the oldest request that waits."""
        for pk, state in self.requests:
            if state == RequestState.IN_REVIEW:
                with suppress(ExceedsBalance, InvalidInput):  # given to another request meanwhile
                    approve_request(request_id=pk, by=CLERK, reason="fine", now=clock.now())
                return

    def take_back(self, n: int) -> None:
        """The customer takes the newest approved request back, or a clerk a refund that was not sent."""
        unsent = self._first(lambda row: row.state == RefundState.RESERVED)
        if n % 3 == 0 and unsent is not None:
            with suppress(WrongState):  # it may have been sent, or is looked up
                take_back_refund(refund_id=unsent.pk, by=CLERK, reason="not to be sent", now=clock.now())
            return
        for pk, state in reversed(self.requests):
            if state == RequestState.APPROVED:
                with suppress(WrongState):  # on its way already
                    cancel_request(request_id=pk, by=self.owner, now=clock.now())
                return

    def try_again(self, n: int) -> None:
        """A clerk tries again what failed, or the customer wants nothing any more."""
        failed = self._first(lambda row: row.state == RefundState.FAILED and row.owed)
        if failed is None:
            return
        if n % 6 == 0:
            give_up_refund(refund_id=failed.pk, by=CLERK, reason="paid otherwise", now=clock.now())
            return
        with suppress(ExceedsBalance):  # the customer asked anew meanwhile
            retry_refund(refund_id=failed.pk, by=CLERK, reason="again", now=clock.now())

    def by_hand(self, n: int) -> None:
        """A person takes a refund that was not sent or has failed, proves to have paid it, lets it go, or sees it bounce."""
        taken = self._first(lambda row: row.state in (RefundState.MANUAL_CLAIMED, RefundState.MANUAL_PAID))
        if taken is None:
            free = self._first(lambda row: row.state == RefundState.RESERVED or (row.state == RefundState.FAILED and row.owed))
            if free is not None:
                with suppress(WrongState, ExceedsBalance):  # it was tried, or its money was given to another one
                    claim_by_hand(refund_id=free.pk, by=CLERK, now=clock.now())
        elif taken.state == RefundState.MANUAL_PAID:
            if n % 2:
                report_bounced(refund_id=taken.pk, by=CLERK, reason="the account is closed", now=clock.now())
        elif n % 2:
            release_claim(refund_id=taken.pk, by=CLERK, now=clock.now())
        else:
            today = clock.now().date()
            give_proof(refund_id=taken.pk, by=CLERK, method="bank", reference="TR-1", paid_on=today, now=clock.now())

    def look(self, n: int) -> None:
        """A person looks at what was stopped."""
        for row in self.rows:
            if row.waits_for == WaitsFor.PERSON:
                with suppress(WrongState):  # what stopped it still holds
                    look_at_refund(refund_id=row.pk, by=CLERK, note="seen", now=clock.now())

    # workers

    def work(self, n: int) -> None:
        """A worker takes one refund, or three."""
        self._work([FATES[(n + place) % len(FATES)] for place in range(3 if n % 4 == 0 else 1)])

    def work_later(self, n: int) -> None:
        """A worker comes after some time."""
        self.time_passes(n)
        self._work([FATES[n % len(FATES)]])

    def _work(self, fates: list[str]) -> None:
        """Let a worker work, with what becomes of it for each refund it has claimed."""
        due = [max(row.due_at, row.lease_until or row.due_at) for row in self.rows if row.state in DRIVEN and not row.waits_for]
        if not due or min(due) > clock.now() + SOON:
            return
        if min(due) > clock.now():
            clock._offset += min(due) - clock.now()
        claims = claim_due(batch=len(fates))
        if not claims:
            return
        fate_of = dict(zip([claim.refund_id for claim in claims], fates, strict=False))
        begun = begin_attempts([claim for claim in claims if fate_of[claim.refund_id] != DIES_CLAIMED])
        told = []
        for started in begun:
            fate = fate_of[started.refund_id]
            self._check_may_be_sent(started)
            if fate == SLEEPS_BEGUN:
                self.sleepers.append(Sleeper(started, False, None, clock.now()))
            if fate in (SLEEPS_BEGUN, DIES_BEGUN):
                continue
            self.gateway._script[:] = [fate] if fate in MISBEHAVIOURS else []
            answer = self._call(started)
            if fate == SLEEPS_ANSWERED:
                self.sleepers.append(Sleeper(started, True, answer, clock.now()))
            elif fate != DIES_ANSWERED:
                told.append(Told(started.refund_id, answer, started.call))
        if told:
            record_answers(told, now=clock.now())

    def wake(self, n: int) -> None:
        """A worker that slept goes on as if nothing had been."""
        if self.sleepers:
            sleeper = self.sleepers.pop(n % len(self.sleepers))
            answer = sleeper.answer if sleeper.answered else self._call(sleeper.started)
            record_answers([Told(sleeper.started.refund_id, answer, sleeper.started.call)], now=clock.now())

    def time_passes(self, n: int) -> None:
        """Both clocks jump; who was about to call for long is dead."""
        clock._offset += PAUSES[n // 16 % len(PAUSES)]
        self.sleepers = [sleeper for sleeper in self.sleepers if sleeper.answered or clock.now() - sleeper.since < SLEEP]

    # the gateway and the bank

    def forget_keys(self, n: int) -> None:
        """The gateway forgets the keys that it has kept for a day."""
        for key, since in list(self.key_times.items()):
            if clock.now() - since > KEY_LIFE:
                del self.key_times[key]
                self.gateway._ledger.keys.pop(key, None)

    def listings_lag(self, n: int) -> None:
        """The gateway's listings are some minutes behind, or not."""
        self.gateway.lag_listings(n % 2 * 300)

    def settle(self, n: int) -> None:
        """The bank ends what is pending, or returns what had succeeded."""
        refunds = list(self.gateway._ledger.refunds.values())
        if not refunds:
            return
        answer, fails = refunds[n % len(refunds)].answer, n // 8 % 2 == 0
        if answer.kind == AnswerKind.PENDING or (answer.kind == AnswerKind.SUCCEEDED and fails):
            kind, code = (AnswerKind.FAILED, "expired_or_canceled_card") if fails else (AnswerKind.SUCCEEDED, "")
            self.gateway.settle(answer.gateway_refund_id, kind, code)
            self._hear()

    def dashboard(self, n: int) -> None:
        """Somebody refunds in the gateway's dashboard; seldom, because it stops much."""
        if n % 3:
            return
        payment = self.payments[n % len(self.payments)]
        name = payment.gateway_payment_id
        left = payment.captured_minor - self.gateway._gone(name, "EUR").minor
        if left > 0:
            self.gateway.refund_externally(name, Money(min((100, 900, 2400)[n // 2 % 3], left), "EUR"))
            self._hear()

    def dispute(self, n: int) -> None:
        """The customer disputes a payment; the next time, the dispute ends. Seldom, because it stops much."""
        if n % 3:
            return
        payment = self.payments[n % len(self.payments)]
        if payment.pk not in self.disputes:
            self.disputes[payment.pk] = True
            self._tell_dispute(payment.gateway_payment_id, payment.captured_minor, "needs_response")
        elif self.disputes[payment.pk]:
            self.disputes[payment.pk] = False
            self._tell_dispute(payment.gateway_payment_id, payment.captured_minor, "won" if n // 2 % 2 else "lost")

    def webhooks(self, n: int) -> None:
        """Webhooks come late, together, in any order, and more than once."""
        if not self.messages:
            return
        again = n % 2 == 0
        chosen = {(n // 2 + place) % len(self.messages) for place in range(1 + n // 32)}
        self._see([self.messages[place] for place in sorted(chosen, reverse=again)])
        if not again:
            self.messages = [message for place, message in enumerate(self.messages) if place not in chosen]

    # what must be so at every moment

    @invariant()
    def money_is_true(self) -> None:
        """Balances are the sums of their rows and of the ledger, and no debt is paid twice."""
        changes = connection.connection.total_changes if connection.vendor == "sqlite" else self.checked + 1
        if not hasattr(self, "purchase") or changes == self.checked:
            return
        self.checked = changes
        check_books()
        self._read()
        self._check_paid_once()

    def _check_paid_once(self) -> None:
        ours = [refund for refund in self.gateway._ledger.refunds.values() if refund.command is not None]
        objects = Counter(refund.command.refund_id for refund in ours if refund.command is not None)
        alive = {refund.command.refund_id for refund in ours if refund.command is not None and refund.answer.kind in ALIVE}
        assert all(count == 1 for count in objects.values()), "one refund became two at the gateway"
        root: dict[UUID, UUID] = {}
        paid: Counter[UUID] = Counter()
        for row in self.rows:
            root[row.pk] = root[row.supersedes] if row.supersedes else row.pk
            paid[root[row.pk]] += (row.pk in alive) + (row.state == RefundState.MANUAL_PAID)
            told = row.state == RefundState.SUCCEEDED and row.origin != RefundOrigin.EXTERNAL
            assert not told or row.pk in objects, "refunded, and the gateway has paid nothing"
        assert all(count <= 1 for count in paid.values()), "one debt was paid twice"

    def _check_may_be_sent(self, started: Started) -> None:
        if started.call.purpose == AttemptPurpose.SEND:
            over = Payment.objects.filter(gateway_payment_id=started.command.gateway_payment_id, over_minor__gt=0)
            assert not over.exists(), "sent, although more has gone than was captured"

    # the end

    def teardown(self) -> None:
        """When all is well again, everything comes to an end, and ours agrees with the gateway's."""
        try:
            if hasattr(self, "purchase"):
                self._end_well()
        finally:
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)
            self.travelled.__exit__(None, None, None)

    def _end_well(self) -> None:
        self.gateway._script.clear()
        self.gateway.lag_listings(0)
        self.sleepers = []
        for minutes in (12, 12, 12, 12, 1600, 12, 12, 1600, 12, 12, 12):
            clock._offset += timedelta(minutes=minutes)
            self.forget_keys(0)
            for refund in self.gateway._ledger.refunds.values():
                if refund.answer.kind == AnswerKind.PENDING:
                    self.gateway.settle(refund.answer.gateway_refund_id, AnswerKind.SUCCEEDED)
            self._hear()
            self._see(random.Random(len(self.messages)).sample(self.messages, len(self.messages)))
            self.messages = []
            self.look(0)
            while claims := claim_due(batch=20):
                begun = begin_attempts(claims)
                record_answers([Told(started.refund_id, self._call(started), started.call) for started in begun], now=clock.now())
            self.money_is_true()
            if not any(row.state in DRIVEN for row in self.rows):
                break
        stays = self._stays()
        assert not stays, stays
        states = {row.gateway_refund_id: row.state for row in self.rows}
        for name, refund in self.gateway._ledger.refunds.items():
            agrees = (refund.answer.kind == AnswerKind.SUCCEEDED) == (states[name] == RefundState.SUCCEEDED)
            assert agrees, f"ours is {states[name]}, the gateway's {refund.answer.kind}"

    def _stays(self) -> list[tuple[str, str]]:
        """Return what is on its way still, unless its payment is disputed or over: that waits for a person."""
        found = self._refunds(state__in=DRIVEN, payment__over_minor=0, payment__disputed_minor=0)
        return [(refund.state, refund.needs_person) for refund in found]

    # words for the above

    def _first(self, fits: Callable[[Row], bool]) -> Row | None:
        return next((row for row in self.rows if fits(row)), None)

    def _read(self) -> None:
        """Read our rows once per change, so that what would do nothing costs nothing."""
        rows = self._refunds().values_list(
            "pk", "supersedes", "state", "origin", "attempt_count", "lease_until", "due_at", "owed", "waits_for", "gateway_refund_id"
        )
        self.rows = [Row(*row) for row in rows]
        requests = RefundRequest.objects.filter(purchase=self.purchase).order_by("pk")
        self.requests = list(requests.values_list("pk", "state"))

    def _refunds(self, **narrow: object):  # type: ignore[no-untyped-def]
        return Refund.objects.filter(payment__purchase=self.purchase, **narrow).order_by("created_at", "pk")

    def _call(self, started: Started) -> GatewayAnswer | None:
        answer = call_gateway(started)
        self.gateway._script.clear()
        for key in self.gateway._ledger.keys.keys() - self.key_times.keys():
            self.key_times[key] = clock.now()
        self._hear()
        return answer

    def _hear(self) -> None:
        """Every change at the gateway sends a webhook."""
        for name, refund in self.gateway._ledger.refunds.items():
            if self.told.get(name) != refund.answer.kind:
                self.told[name] = refund.answer.kind
                command = refund.command
                self.messages.append(
                    Seen(
                        gateway_payment_id=refund.gateway_payment_id,
                        refund_id=command.refund_id if command else None,
                        installation=command.metadata["installation"] if command else "",
                        answer=refund.answer,
                        told_at=clock.now(),
                    )
                )

    def _see(self, messages: list[Seen]) -> None:
        record_seen(account=self.account, seen=messages, now=clock.now())

    def _tell_dispute(self, gateway_payment_id: str, minor: int, status: str) -> None:
        self.gateway.dispute(gateway_payment_id, is_open=status != "won")
        told = WebhookDispute(
            event_id=f"evt_{gateway_payment_id}_{status}",
            event_type="charge.dispute.updated",
            livemode=False,
            created=clock.now(),
            dispute_id=f"dp_{gateway_payment_id}",
            gateway_payment_id=gateway_payment_id,
            status=status,
            amount=Money(minor, "EUR"),
            reason="product_not_received",
            is_inquiry=False,
            is_open=status == "needs_response",
            is_won=status == "won",
            is_lost=status == "lost",
            evidence_due=None,
        )
        record_dispute(account=self.account, told=told, now=clock.now())
