"""A machine that lets everything happen to one purchase, in any order, on the real services and a database.

Requests, decisions, workers that die, sleep and wake, a gateway that answers badly or not at all, banks, webhooks, the dashboard,
disputes, people who pay by hand, time, and a broker that forgets. Hypothesis chooses what happens next and shortens what breaks.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from refund_plugin import clock
from refund_plugin.actor import Actor, customer_actor
from refund_plugin.errors import AlreadyRefunded, ExceedsBalance, InvalidInput, QuantityTooHigh, WrongState
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.facts import WebhookDispute
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.gateways.services import default_account, gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.balances import Balances
from refund_plugin.refunds.calls import call_gateway
from refund_plugin.refunds.disputes import record_dispute
from refund_plugin.refunds.execute import Started, begin_attempts, claim_due
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import AttemptPurpose, Refund, RefundRequest, WaitsFor
from refund_plugin.refunds.outcomes import Told, do_apply, record_answers
from refund_plugin.refunds.retry import give_up_refund, retry_refund
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.states import DRIVEN, RefundEvent, RefundState, RequestState
from tests.factories import NOW
from tests.refunds.helpers import CLERK, ask

# what becomes of a worker and its call
WELL = "well"
DIES_CLAIMED, DIES_BEGUN, DIES_ANSWERED = "dies with its claim", "dies before its call", "dies with its answer"
SLEEPS_BEGUN, SLEEPS_ANSWERED = "sleeps before its call", "sleeps with its answer"
MISBEHAVIOURS = (
    "timeout_before_commit",
    "timeout_after_commit",
    "refused_connection",
    "rate_limited",
    "pending",
    "stored_error",
    "stored_error_after_commit",
)
FATES = (WELL, WELL, WELL, DIES_CLAIMED, DIES_BEGUN, DIES_ANSWERED, SLEEPS_BEGUN, SLEEPS_ANSWERED, *MISBEHAVIOURS)
KEY_LIFE = timedelta(hours=24)
SLEEP = timedelta(hours=2)  # nobody who was about to call sleeps longer and then still calls
ALIVE = (AnswerKind.PENDING, AnswerKind.SUCCEEDED)


@dataclass
class Sleeper:
    """A worker that has begun a call, and perhaps has its answer, and does not go on."""

    started: Started
    answered: bool
    answer: GatewayAnswer | None
    since: datetime


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
        self.checked = -1

    @initialize(which=st.integers(0, 2))
    def buy(self, which: int) -> None:
        """Three splits over payments."""
        self.purchase = self.purchases[which]
        self.owner: Actor = customer_actor(customer_id=self.purchase.customer_id, store_id=self.purchase.store_id)
        self.lines = list(self.purchase.lines.order_by("pk"))
        self.payments = list(self.purchase.payments.order_by("pk"))
        for payment in self.payments:
            self.gateway.add_payment(payment.gateway_payment_id, Money(payment.captured_minor, "EUR"))

    # the customer and the staff

    @rule(which=st.integers(0, 1), quantity=st.integers(1, 3))
    def ask(self, which: int, quantity: int) -> None:
        """Up to a limit the policy approves; more waits for a person."""
        with suppress(AlreadyRefunded, QuantityTooHigh, ExceedsBalance):  # nothing is left: the invariants say that nothing changed
            ask(self.purchase, {self.lines[which]: quantity}, now=NOW)

    @rule()
    def approve(self) -> None:
        """A clerk approves the oldest request that waits."""
        request = RefundRequest.objects.filter(purchase=self.purchase, state=RequestState.IN_REVIEW).order_by("pk").first()
        if request is not None:
            with suppress(ExceedsBalance, InvalidInput):  # given to another request meanwhile
                approve_request(request_id=request.pk, by=CLERK, reason="fine", now=clock.now())

    @rule()
    def take_back(self) -> None:
        """The customer takes the newest request back."""
        request = RefundRequest.objects.filter(purchase=self.purchase).order_by("-created_at", "-pk").first()
        if request is not None:
            with suppress(WrongState):  # taken back, or on its way, already
                cancel_request(request_id=request.pk, by=self.owner, now=clock.now())

    @rule(gives_up=st.booleans())
    def try_again(self, gives_up: bool) -> None:
        """A clerk tries again what failed, or the customer wants nothing any more."""
        failed = self._refunds(state=RefundState.FAILED, owed=True).first()
        if failed is None:
            return
        if gives_up:
            give_up_refund(refund_id=failed.pk, by=CLERK, reason="paid otherwise", now=clock.now())
            return
        with suppress(ExceedsBalance):  # the customer asked anew meanwhile
            retry_refund(refund_id=failed.pk, by=CLERK, reason="again", now=clock.now())

    @rule(event=st.sampled_from([RefundEvent.PERSON_CLAIMS, RefundEvent.PROOF_GIVEN, RefundEvent.PERSON_RELEASES]))
    def by_hand(self, event: RefundEvent) -> None:
        """A person takes a refund that was never tried, proves to have paid it, or lets it go."""
        states = {RefundEvent.PERSON_CLAIMS: [RefundState.RESERVED], RefundEvent.PROOF_GIVEN: [RefundState.MANUAL_CLAIMED]}
        found = self._refunds(state__in=states.get(event, [RefundState.MANUAL_CLAIMED, RefundState.MANUAL_PAID]))
        if event == RefundEvent.PERSON_CLAIMS:
            found = found.filter(attempt_count=0, lease_until__isnull=True)
        refund = found.first()
        if refund is not None:
            with transaction.atomic():
                balances = Balances.lock([refund.pk])
                do_apply(balances, balances.refunds[refund.pk], event, actor=CLERK, now=clock.now())
                balances.write(now=clock.now())

    @rule()
    def look(self) -> None:
        """A person lets go on what was stopped."""
        self._refunds(waits_for=WaitsFor.PERSON).update(waits_for=WaitsFor.NOTHING, needs_person="")

    # workers

    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=3))
    def work(self, fates: list[str]) -> None:
        """A worker, with what becomes of it for each refund it has claimed."""
        claims = claim_due(batch=len(fates))
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

    @precondition(lambda self: self.sleepers)
    @rule(which=st.integers(0, 5))
    def wake(self, which: int) -> None:
        """A worker that slept goes on as if nothing had been."""
        sleeper = self.sleepers.pop(which % len(self.sleepers))
        answer = sleeper.answer if sleeper.answered else self._call(sleeper.started)
        record_answers([Told(sleeper.started.refund_id, answer, sleeper.started.call)], now=clock.now())

    @rule(hours=st.sampled_from([0.02, 0.2, 0.5, 3, 21, 25]))
    def time_passes(self, hours: float) -> None:
        """Both clocks jump; who was about to call for long is dead."""
        clock._offset += timedelta(hours=hours)
        self.sleepers = [sleeper for sleeper in self.sleepers if sleeper.answered or clock.now() - sleeper.since < SLEEP]

    # the gateway and the bank

    @rule()
    def forget_keys(self) -> None:
        """The gateway forgets the keys that it has kept for a day."""
        for key, since in list(self.key_times.items()):
            if clock.now() - since > KEY_LIFE:
                del self.key_times[key]
                self.gateway._ledger.keys.pop(key, None)

    @rule(seconds=st.sampled_from([0, 300]))
    def listings_lag(self, seconds: int) -> None:
        """The gateway's listings are some minutes behind, or not."""
        self.gateway.lag_listings(seconds)

    @precondition(lambda self: self.gateway._ledger.refunds)
    @rule(which=st.integers(0, 5), kind=st.sampled_from([AnswerKind.SUCCEEDED, AnswerKind.FAILED]))
    def settle(self, which: int, kind: AnswerKind) -> None:
        """The bank ends what is pending, or returns what had succeeded."""
        refund = list(self.gateway._ledger.refunds.values())[which % len(self.gateway._ledger.refunds)]
        if refund.answer.kind == AnswerKind.PENDING or (refund.answer.kind == AnswerKind.SUCCEEDED and kind == AnswerKind.FAILED):
            self.gateway.settle(refund.answer.gateway_refund_id, kind, "expired_or_canceled_card" if kind == AnswerKind.FAILED else "")
            self._hear()

    @rule(which=st.integers(0, 1), minor=st.sampled_from([100, 900, 2400]))
    def dashboard(self, which: int, minor: int) -> None:
        """Somebody refunds in the gateway's dashboard."""
        payment = self.payments[which % len(self.payments)]
        name = payment.gateway_payment_id
        left = payment.captured_minor - self.gateway._gone(name, "EUR").minor
        if left > 0:
            self.gateway.refund_externally(name, Money(min(minor, left), "EUR"))
            self._hear()

    @rule(which=st.integers(0, 1), wins=st.booleans())
    def dispute(self, which: int, wins: bool) -> None:
        """The customer disputes a payment; the next time, the dispute ends."""
        payment = self.payments[which % len(self.payments)]
        if payment.pk not in self.disputes:
            self.disputes[payment.pk] = True
            self._tell_dispute(payment.gateway_payment_id, payment.captured_minor, "needs_response")
        elif self.disputes[payment.pk]:
            self.disputes[payment.pk] = False
            self._tell_dispute(payment.gateway_payment_id, payment.captured_minor, "won" if wins else "lost")

    @precondition(lambda self: self.messages)
    @rule(which=st.lists(st.integers(0, 9), min_size=1, max_size=3), again=st.booleans())
    def webhooks(self, which: list[int], again: bool) -> None:
        """Webhooks come late, together, in any order, and more than once."""
        chosen = {place % len(self.messages) for place in which}
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
        check_books(self.purchase.pk)
        self._check_paid_once()

    def _check_paid_once(self) -> None:
        alive = Counter(
            refund.command.refund_id
            for refund in self.gateway._ledger.refunds.values()
            if refund.command is not None and refund.answer.kind in ALIVE
        )
        objects = Counter(refund.command.refund_id for refund in self.gateway._ledger.refunds.values() if refund.command is not None)
        assert all(count == 1 for count in objects.values()), "one refund became two at the gateway"
        root: dict[UUID, UUID] = {}
        paid: Counter[UUID] = Counter()
        for pk, before, state in self._refunds().order_by("created_at", "pk").values_list("pk", "supersedes", "state"):
            root[pk] = root.get(before, before) if before else pk
            paid[root[pk]] += alive[pk] + (state == RefundState.MANUAL_PAID)
            if state == RefundState.SUCCEEDED and pk in objects:
                continue
            assert state != RefundState.SUCCEEDED or self._is_external(pk), "refunded, and the gateway has paid nothing"
        assert all(count <= 1 for count in paid.values()), "one debt was paid twice"

    def _is_external(self, pk: UUID) -> bool:
        return bool(self._refunds(pk=pk, origin="external").exists())

    def _check_may_be_sent(self, started: Started) -> None:
        if started.call.purpose == AttemptPurpose.SEND:
            payment = next(item for item in self.payments if item.gateway_payment_id == started.command.gateway_payment_id)
            payment.refresh_from_db(fields=["over_minor", "disputed_minor"])
            assert not payment.over_minor, "sent, although more has gone than was captured"

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
        for hours in (0.2, 0.2, 0.2, 0.2, 26, 0.2, 0.2, 26, 0.2, 0.2, 0.2):
            self.time_passes(hours)
            self.forget_keys()
            for refund in self.gateway._ledger.refunds.values():
                if refund.answer.kind == AnswerKind.PENDING:
                    self.gateway.settle(refund.answer.gateway_refund_id, AnswerKind.SUCCEEDED)
            self._hear()
            self._see(random.Random(len(self.messages)).sample(self.messages, len(self.messages)))
            self.messages = []
            self.look()
            while claims := claim_due(batch=20):
                begun = begin_attempts(claims)
                record_answers([Told(started.refund_id, self._call(started), started.call) for started in begun], now=clock.now())
            if not self._refunds(state__in=DRIVEN).exists():
                break
        self.checked = -1
        self.money_is_true()
        stays = self._stays()
        assert not stays, stays
        at_gateway = {name: refund.answer.kind for name, refund in self.gateway._ledger.refunds.items()}
        for name, kind in at_gateway.items():
            ours = self._refunds(gateway_refund_id=name).get()
            assert (kind == AnswerKind.SUCCEEDED) == (ours.state == RefundState.SUCCEEDED), (ours.state, kind)

    def _stays(self) -> list[tuple[str, str]]:
        """Return what is on its way still, unless its payment is disputed or over: that waits for a person."""
        found = self._refunds(state__in=DRIVEN, payment__over_minor=0, payment__disputed_minor=0)
        return [(refund.state, refund.needs_person) for refund in found]

    # words for the above

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


def check_books(purchase_id: int) -> None:
    """Assert that every balance is what its rows and the ledger say."""
    report = verify()
    assert report.fine, [str(difference) for difference in report.differences]
