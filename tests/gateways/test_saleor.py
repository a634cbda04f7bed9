"""A Saleor with another payment app keeps the promises of a gateway; the stand-in plays Saleor, trap by trap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, PaymentState, RefundCommand, RefundPage
from refund_plugin.gateways.burning import KEY_BURNT, KEY_KNOWN
from refund_plugin.gateways.facts import DisputePage
from refund_plugin.gateways.saleor import SaleorGateway
from refund_plugin.gateways.saleor_orders import Rules
from refund_plugin.money import Money
from refund_plugin.saleor.client import SaleorClient
from tests.gateways.conformance import GatewayConformance
from tests.gateways.rig import Rig, command_for
from tests.saleor.standin import Standin
from tests.saleor.standin import money_mutations as mutations
from tests.saleor.standin.permissions import Caller
from tests.saleor.standin.traps import Fault
from tests.saleor.standin.webhooks import Answer, Delivery
from tests.saleor.standin.world import TransactionItem

REQUEST = "TransactionRequestRefundForGrantedRefund"
CREATE = "OrderGrantRefundCreate"
LOOK = "TransactionRefunds"
MARK = "UpdatePrivateMetadata"
ASKED_OF_THE_OTHER_APP = """subscription { event {
  ... on TransactionRefundRequested { action { amount } }
  ... on TransactionCancelationRequested { action { amount } }
} }"""
NOBODY = "http://127.0.0.1:9/graphql/"  # the port of "discard", where nothing listens


class PromptSaleor(SaleorGateway):
    """Saleor asks the other app in the background; here that has happened by the time a refund's answer is looked at."""

    standin: Standin

    def refund(self, command: RefundCommand) -> GatewayAnswer:
        answer = super().refund(command)
        asked = self.standin.work()
        return self.retrieve(answer.gateway_refund_id) if asked and answer.kind == AnswerKind.PENDING else answer


class SaleorRig(Rig):
    """Another payment app owns every payment."""

    gateway: SaleorGateway

    def __init__(self, version: str = "3.23", *, prompt: bool = True) -> None:
        self.saleor = Standin(version).start()
        self.app = self.saleor.add_app(permissions=["MANAGE_ORDERS", "HANDLE_PAYMENTS"])
        self.token = next(iter(self.app.tokens))
        self.saleor.post.inside = self._answer
        self.saleor.other.app.webhooks[0].query = ASKED_OF_THE_OTHER_APP
        self.gateway = self.new_gateway(prompt=prompt)

    def new_gateway(self, *, prompt: bool = True, api_url: str = "", **changes: Any) -> SaleorGateway:
        client = SaleorClient(api_url or self.saleor.api_url, self.token, timeout_seconds=60, attempts=1, version=self.saleor.api_version)
        made = PromptSaleor if prompt else SaleorGateway
        gateway = made(client=client, reader=client, rules=Rules(account="paper-heron", app_id=self.app.id), **changes)
        if isinstance(gateway, PromptSaleor):
            gateway.standin = self.saleor
        return gateway

    def _answer(self, delivery: Delivery) -> Answer:
        assert delivery.request is not None
        if delivery.request.type != "CANCEL_REQUEST":
            return self.saleor.other.answer(delivery)
        return Answer(200, json.dumps({"pspReference": f"void_{uuid4().hex}", "result": "CANCEL_SUCCESS"}).encode())

    def transaction(self, payment: str) -> TransactionItem:
        return self.saleor.world.transactions[payment]

    def requests_of(self, payment: str) -> int:
        return sum(event.type == "REFUND_REQUEST" for event in self.transaction(payment).events)

    def paid_out(self, payment: str) -> Decimal:
        return self.saleor.other.paid_for(payment)

    def _order(self, amount: Money) -> Any:
        channel = amount.currency.lower()
        if channel not in self.saleor.world.channels:
            self.saleor.add_channel(channel, amount.currency)
        return self.saleor.add_order(lines=[{"price": str(amount.decimal)}], channel=channel)

    def pay(self, captured: Money, *, refunds_pend: bool = False) -> str:
        if refunds_pend:
            self.saleor.other.script.append("async")
        return self.saleor.pay(self._order(captured), amount=captured.decimal).id

    def misbehave(self, how: str) -> None:
        if how == "refused_connection":
            self.gateway = self.new_gateway(api_url=NOBODY)
        elif how == "bad_key":
            self.app.tokens.clear()
        elif how == "rate_limited":
            self.saleor.traps.add(Fault("rate_limit"))
        else:
            for operation in (REQUEST, MARK, "TransactionRequestCancel"):
                self.saleor.traps.add(Fault("drop", operation=operation, executed=how == "timeout_after_commit"))

    def end(self, gateway_refund_id: str, kind: AnswerKind) -> None:
        if self.saleor.settle_other(success=kind == AnswerKind.SUCCEEDED):
            return
        payment, _separator, _grant = gateway_refund_id.partition(":")
        (paid,) = (event for event in self.transaction(payment).events if event.type == "REFUND_SUCCESS")
        self.saleor.report_as(self.saleor.other.app, self.transaction(payment), "REFUND_REVERSE", paid.psp_reference, paid.amount_value)

    def refunds_of(self, payment: str) -> int:
        return self.requests_of(payment)

    def refund_elsewhere(self, payment: str, amount: Money) -> str:
        self.saleor.clock.advance(1)  # a listing has it after what was made before
        request = self.saleor.refund_at_once(self.transaction(payment), amount.decimal)
        self.saleor.work()
        return f"{payment}:{request.id}"

    def break_next_listing(self) -> None:
        self.saleor.traps.add(Fault("502"))

    def lag_listings(self, seconds: float) -> None:
        raise NotImplementedError("Saleor shows at once what it has")

    def forget_keys(self) -> None:
        raise NotImplementedError("Saleor forgets no granted refund")

    def dispute(self, payment: str) -> None:
        item = self.transaction(payment)
        self.saleor.report_as(self.saleor.other.app, item, "CHARGE_BACK", f"back_{uuid4().hex}", item.charged)

    def win_dispute(self, payment: str) -> None:
        raise NotImplementedError("Saleor has no word for it")

    def authorise(self, amount: Money) -> str:
        order, owner = self._order(amount), self.saleor.other.app
        context = self.saleor._context(Caller(app=owner))
        item: TransactionItem = mutations.create_transaction(None, context, id=order.id, transaction={"name": "Card"})["transaction"]
        self.saleor.report_as(owner, item, "AUTHORIZATION_SUCCESS", f"auth_{uuid4().hex}", amount.decimal)
        return item.id


@pytest.fixture(params=["3.22", "3.23"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rig(version: str) -> Iterator[SaleorRig]:
    rig = SaleorRig(version)
    yield rig
    rig.saleor.stop()


class TestSaleor(GatewayConformance):
    """The promises of every gateway; those that take what Saleor does not have say here what holds instead."""

    def test_a_gateway_that_forgot_a_key_would_pay_again_so_keys_are_not_replayed_for_ever(self, rig: SaleorRig) -> None:
        # looked up instead of remembered: what was granted is found, however old
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        rig.gateway.refund(command)
        rig.saleor.clock.advance(90 * 24 * 3600)
        assert rig.new_gateway().refund(command).idempotent_replayed
        assert rig.refunds_of(payment) == 1

    def test_a_disputed_payment_is_refused_until_the_dispute_is_won(self, rig: SaleorRig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.dispute(payment)
        answer = rig.gateway.refund(command_for(payment, Money(500, "EUR")))
        assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "charge_disputed")
        state = rig.gateway.payment_state(payment)
        assert isinstance(state, PaymentState)
        assert (state.disputed, state.captured, state.refunded) == (True, Money(1820, "EUR"), Money(0, "EUR"))

    def test_disputes_are_listed_by_payment_as_they_stand(self, rig: SaleorRig) -> None:
        disputed, other = rig.pay(Money(1820, "EUR")), rig.pay(Money(500, "EUR"))
        rig.dispute(disputed)
        for page in (rig.gateway.list_disputes(gateway_payment_id=disputed), rig.gateway.list_disputes()):
            assert isinstance(page, DisputePage)
            [dispute] = page.items
            assert (dispute.gateway_payment_id, dispute.amount, dispute.is_open, page.cursor) == (disputed, Money(1820, "EUR"), True, "")
        assert rig.gateway.list_disputes(gateway_payment_id=other) == DisputePage(())

    def test_a_key_can_be_burnt_while_the_payment_is_disputed(self, rig: SaleorRig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        rig.dispute(payment)
        assert rig.gateway.burn(command, Money(1820, "EUR")).code == KEY_BURNT
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED
        assert rig.refunds_of(payment) == 0

    def test_a_listing_may_lag_behind_what_the_gateway_knows(self, rig: SaleorRig) -> None:
        # it does not: what was just asked for is listed, and found
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        made = rig.gateway.refund(command).gateway_refund_id
        found = rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id)
        assert found is not None and found.gateway_refund_id == made
        assert [item.gateway_refund_id for item in self.listed(rig, None)] == [made]

    def test_a_payment_tells_what_was_captured_and_refunded(self, rig: SaleorRig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.gateway.refund(command_for(payment, Money(500, "EUR")))
        rig.refund_elsewhere(payment, Money(300, "EUR"))
        state = rig.gateway.payment_state(payment)
        assert isinstance(state, PaymentState)
        assert (state.gateway_payment_id, state.captured, state.refunded) == (payment, Money(1820, "EUR"), Money(800, "EUR"))
        assert (state.is_captured, state.is_canceled, state.disputed) == (True, False, False)
        assert state.paid_at is not None

    def test_a_test_payment_can_be_refunded_and_is_made_once_per_key(self, rig: SaleorRig) -> None:
        answer = rig.gateway.make_test_payment(Money(100, "EUR"), key="self-test-1")
        assert isinstance(answer, GatewayAnswer) and answer.code == "not_supported"


# ---- what the notes of a running Saleor and of its code say, trap by trap


@pytest.fixture
def slow(version: str) -> Iterator[SaleorRig]:
    """A rig in which the other app is asked when the test lets Saleor work."""
    rig = SaleorRig(version, prompt=False)
    yield rig
    rig.saleor.stop()


def ends(rig: SaleorRig, command: RefundCommand) -> tuple[AnswerKind | None, int, Decimal]:
    """How our refund is found, how often the other app was asked, and what it paid."""
    found = rig.gateway.find(gateway_payment_id=command.gateway_payment_id, refund_id=command.refund_id)
    return found.kind if found else None, rig.requests_of(command.gateway_payment_id), rig.paid_out(command.gateway_payment_id)


def test_a_refund_waits_for_the_other_app_and_ends_with_its_word(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"), refunds_pend=True)
    command = command_for(payment, Money(500, "EUR"), metadata={"installation": "shop-1", "reference": "R-7"})
    answer = slow.gateway.refund(command)
    assert (answer.kind, answer.amount) == (AnswerKind.PENDING, Money(500, "EUR"))
    (grant,) = slow.transaction(payment).order.granted_refunds
    assert grant.reason == f"R-7 [shop-1:{command.refund_id}]"
    assert answer.gateway_refund_id == f"{payment}:{grant.id}"
    slow.saleor.work()
    assert slow.gateway.retrieve(answer.gateway_refund_id).kind == AnswerKind.PENDING
    slow.saleor.settle_other()
    assert ends(slow, command) == (AnswerKind.SUCCEEDED, 1, Decimal("5.00"))


@pytest.mark.parametrize("operation", [LOOK, CREATE, REQUEST])
@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("skip", [0, 1])
def test_an_answer_that_is_lost_anywhere_never_makes_a_second_payment(slow: SaleorRig, operation: str, executed: bool, skip: int) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(1820, "EUR"))
    slow.saleor.traps.add(Fault("drop", operation=operation, executed=executed, skip=skip))
    first = slow.gateway.refund(command)
    if operation == REQUEST and not skip:
        assert first.kind == AnswerKind.MAYBE_EXECUTED
    elif operation != REQUEST and not (operation == CREATE and skip):
        assert first.kind == AnswerKind.NOT_EXECUTED
    for _again in range(3):
        slow.gateway.refund(command)
    slow.saleor.work()
    assert ends(slow, command) == (AnswerKind.SUCCEEDED, 1, Decimal("18.20"))
    assert len(slow.transaction(payment).order.granted_refunds) == 1


def test_a_grant_that_was_never_requested_is_absent_and_the_next_try_requests_it(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(500, "EUR"))
    slow.saleor.traps.add(Fault("drop", operation=REQUEST, executed=False))
    slow.gateway.refund(command)
    assert ends(slow, command) == (None, 0, Decimal(0))
    assert slow.gateway.refund(command).kind == AnswerKind.PENDING
    assert len(slow.transaction(payment).order.granted_refunds) == 1


def test_what_took_too_long_is_not_asked_for_any_more(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    moments = iter([0.0, 13.0])
    answer = slow.new_gateway(prompt=False, clock=lambda: next(moments)).refund(command_for(payment, Money(500, "EUR")))
    assert (answer.kind, answer.code) == (AnswerKind.NOT_EXECUTED, "too_slow")
    assert slow.requests_of(payment) == 0


def test_trap_2_a_failure_that_saleor_wrote_because_no_answer_came_is_no_proof_that_nothing_was_paid(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(1820, "EUR"))
    slow.saleor.other.script.append("lost")
    answer = slow.gateway.refund(command)
    slow.saleor.work()
    (grant,) = slow.transaction(payment).order.granted_refunds
    assert (grant.status, slow.paid_out(payment)) == ("FAILURE", Decimal("18.20"))
    assert slow.gateway.retrieve(answer.gateway_refund_id).kind == AnswerKind.MAYBE_EXECUTED
    # another refund of the same money is not sent while nobody knows
    assert slow.gateway.refund(command_for(payment, Money(1820, "EUR"))).code == "charge_already_refunded"
    state = slow.gateway.payment_state(payment)
    assert isinstance(state, PaymentState) and state.refunded == Money(1820, "EUR")
    # the app tells in the end, under a reference that no request has
    slow.saleor.report_as(slow.saleor.other.app, slow.transaction(payment), "REFUND_SUCCESS", "late_1", Decimal("18.20"))
    assert ends(slow, command) == (AnswerKind.SUCCEEDED, 1, Decimal("18.20"))
    page = slow.gateway.list_refunds(gateway_payment_id=payment)
    assert isinstance(page, RefundPage) and len(page.items) == 1


def test_a_failure_that_the_app_told_leaves_the_money_refundable(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    slow.saleor.other.script.append("failure")
    first = slow.gateway.refund(command_for(payment, Money(1820, "EUR")))
    slow.saleor.work()
    failed = slow.gateway.retrieve(first.gateway_refund_id)
    assert (failed.kind, failed.code, failed.message) == (AnswerKind.FAILED, "refused_by_payment_app", "The bank said no.")
    successor = command_for(payment, Money(1820, "EUR"))
    slow.gateway.refund(successor)
    slow.saleor.work()
    assert ends(slow, successor) == (AnswerKind.SUCCEEDED, 2, Decimal("18.20"))


def test_trap_5_a_success_that_was_told_again_with_another_amount_stays_paid(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"), refunds_pend=True)
    command = command_for(payment, Money(1820, "EUR"))
    slow.gateway.refund(command)
    slow.saleor.work()
    slow.saleor.settle_other()
    (paid,) = (event for event in slow.transaction(payment).events if event.type == "REFUND_SUCCESS")
    with pytest.raises(Exception, match="different amount"):
        slow.saleor.report_as(slow.saleor.other.app, slow.transaction(payment), "REFUND_SUCCESS", paid.psp_reference, Decimal(5))
    (grant,) = slow.transaction(payment).order.granted_refunds
    assert grant.status == "FAILURE"
    assert ends(slow, command) == (AnswerKind.SUCCEEDED, 1, Decimal("18.20"))
    assert slow.gateway.refund(command).idempotent_replayed
    assert slow.requests_of(payment) == 1


def test_trap_6_what_was_asked_for_and_not_taken_off_the_charge_yet_counts(slow: SaleorRig) -> None:
    payment = slow.pay(Money(3000, "EUR"))
    item = slow.transaction(payment)
    slow.saleor.send_refund(slow.saleor.grant(item.order, item, "20.00"))
    answer = slow.gateway.refund(command_for(payment, Money(2000, "EUR")))
    assert (answer.kind, answer.code) == (AnswerKind.NOT_EXECUTED, "refund_in_progress")
    assert slow.gateway.refund(command_for(payment, Money(1000, "EUR"))).kind == AnswerKind.PENDING
    slow.saleor.work()
    assert slow.paid_out(payment) == Decimal("30.00")


def test_trap_7_nothing_is_requested_that_saleor_would_cut(slow: SaleorRig) -> None:
    payment = slow.pay(Money(3000, "EUR"))
    item = slow.transaction(payment)
    slow.saleor.refund_at_once(item, "25.00")
    slow.saleor.work()
    command = command_for(payment, Money(1000, "EUR"))
    answer = slow.gateway.refund(command)
    assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "amount_too_large")
    assert ends(slow, command) == (None, 1, Decimal("25.00"))


def test_a_report_that_comes_before_saleor_wrote_the_answer_down_is_still_ours(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(1820, "EUR"))
    slow.saleor.other.script.append("async")
    slow.gateway.refund(command)
    slow.saleor.post.before_taking_in = lambda: slow.saleor.settle_other() and None
    slow.saleor.work()
    (grant,) = slow.transaction(payment).order.granted_refunds
    assert grant.status == "PENDING", "the trap: Saleor never links the two"
    assert ends(slow, command) == (AnswerKind.SUCCEEDED, 1, Decimal("18.20"))
    page = slow.gateway.list_refunds(gateway_payment_id=payment)
    assert isinstance(page, RefundPage) and len(page.items) == 1


def test_a_payment_of_our_own_app_is_never_refunded_over_saleor(slow: SaleorRig) -> None:
    order = slow.saleor.add_order()
    item = slow.saleor.pay(order, app=slow.app, psp_reference="pi_1")
    answer = slow.gateway.refund(command_for(item.id, Money(1000, "EUR")))
    assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "own_payment")
    assert (slow.requests_of(item.id), order.granted_refunds) == (0, [])


def test_no_app_that_could_pay_is_a_definite_no_and_blocks_nothing(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    hook = slow.saleor.other.app.webhooks[0]
    hook.is_active = False
    answer = slow.gateway.refund(command_for(payment, Money(1820, "EUR")))
    assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "missing_transaction_action_request_webhook")
    hook.is_active = True
    assert slow.gateway.refund(command_for(payment, Money(1820, "EUR"))).kind == AnswerKind.PENDING


@pytest.mark.parametrize("permission", ["MANAGE_ORDERS", "HANDLE_PAYMENTS"])
def test_a_permission_that_was_taken_away_holds_the_account_and_is_named(slow: SaleorRig, permission: str) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    slow.app.permissions.remove(permission)
    answer = slow.gateway.refund(command_for(payment, Money(1820, "EUR")))
    assert (answer.kind, answer.hold) == (AnswerKind.NOT_EXECUTED, True)
    assert permission in answer.message
    ping = slow.gateway.ping()
    assert (ping.hold, permission in ping.message) == (True, True)
    assert slow.requests_of(payment) == 0


def test_a_marked_refund_is_burnt_without_a_trace_that_staff_could_send(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(500, "EUR"))
    assert slow.gateway.burn(command, Money(1820, "EUR")).code == KEY_BURNT
    order = slow.transaction(payment).order
    assert (order.granted_refunds, order.private_metadata) == ([], {f"refunds.burnt.{command.refund_id}": "yes"})


def test_a_refund_that_is_on_its_way_cannot_be_burnt(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"))
    command = command_for(payment, Money(500, "EUR"))
    slow.gateway.refund(command)
    assert slow.gateway.burn(command, Money(1820, "EUR")).code == KEY_KNOWN


def test_a_refund_is_granted_with_the_page_of_its_reason_and_without_one_when_that_page_is_gone(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"), refunds_pend=True)
    slow.saleor.add_reasons(["It does not work"])
    pages = {each.title: each.id for each in slow.saleor.world.pages.values()}
    gateway = slow.new_gateway(
        prompt=False, reason_page=lambda reason: {"defective": pages["It does not work"], "other": "UGFnZTo5OTk="}.get(reason, "")
    )
    for reason, amount in (("defective", 500), ("other", 300), ("bought_twice", 100)):
        command = command_for(payment, Money(amount, "EUR"), metadata={"installation": "shop-1", "reference": "R-7", "reason": reason})
        assert gateway.refund(command).kind == AnswerKind.PENDING
    grants = slow.transaction(payment).order.granted_refunds
    assert len(grants) == 3
    assert [bool(grant.reason_reference) for grant in grants] == [True, False, False]


def granted(slow: SaleorRig, payment: str) -> list[tuple[Decimal, list[tuple[str, int]]]]:
    """Return the grants on a payment: amount, and the lines with their units."""
    grants = slow.transaction(payment).order.granted_refunds
    return [(grant.amount_value, [(line.order_line.id, line.quantity) for line in grant.lines]) for grant in grants]


def test_a_refund_is_granted_with_its_lines_and_never_for_more_than_its_own_amount(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"), refunds_pend=True)
    (line,) = slow.transaction(payment).order.lines
    answer = slow.gateway.refund(command_for(payment, Money(500, "EUR"), lines=((line.id, 1),)))
    assert answer.kind == AnswerKind.PENDING
    assert granted(slow, payment) == [(Decimal("5.00"), [(line.id, 1)])]
    slow.saleor.work()
    slow.saleor.settle_other()
    assert slow.paid_out(payment) == Decimal("5.00")


def test_lines_that_saleor_refuses_are_left_out_and_the_amount_goes_back_once(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"), refunds_pend=True)
    item = slow.transaction(payment)
    (line,) = item.order.lines
    slow.saleor.grant(item.order, item, "1.00", lines={line.id: 1})  # by staff, in the dashboard
    slow.saleor.add_reasons(["It does not work"])
    gateway = slow.new_gateway(prompt=False, reason_page=lambda _reason: "UGFnZTo5OTk=")
    for amount, lines in ((500, ((line.id, 1),)), (300, (("T3JkZXJMaW5lOjk5OQ==", 1),))):
        assert gateway.refund(command_for(payment, Money(amount, "EUR"), lines=lines)).kind == AnswerKind.PENDING
        slow.saleor.work()
        slow.saleor.settle_other()
    assert granted(slow, payment) == [(Decimal("1.00"), [(line.id, 1)]), (Decimal("5.00"), []), (Decimal("3.00"), [])]
    assert slow.paid_out(payment) == Decimal("8.00")


def test_a_grant_with_lines_whose_answer_was_lost_is_requested_and_not_granted_again(slow: SaleorRig) -> None:
    payment = slow.pay(Money(1820, "EUR"), refunds_pend=True)
    (line,) = slow.transaction(payment).order.lines
    command = command_for(payment, Money(500, "EUR"), lines=((line.id, 1),))
    slow.saleor.traps.add(Fault("drop", operation=CREATE, executed=True))
    assert slow.gateway.refund(command).kind == AnswerKind.NOT_EXECUTED
    assert slow.gateway.refund(command).kind == AnswerKind.PENDING
    assert granted(slow, payment) == [(Decimal("5.00"), [(line.id, 1)])]
    assert slow.requests_of(payment) == 1


def test_two_grants_that_the_app_took_for_one_are_one_refund_of_what_was_paid(slow: SaleorRig) -> None:
    payment = slow.pay(Money(6000, "EUR"))
    item = slow.transaction(payment)
    grants = [slow.saleor.grant(item.order, item, "40.00") for _number in range(2)]
    slow.saleor.send_refunds_together(grants)
    slow.saleor.post.inside = lambda delivery: Answer(200, b'{"pspReference": "same", "result": "REFUND_SUCCESS", "amount": "40.00"}')
    slow.saleor.work()
    assert sorted(grant.status for grant in grants) == ["PENDING", "SUCCESS"]
    page = slow.gateway.list_refunds(gateway_payment_id=payment)
    assert isinstance(page, RefundPage)
    assert [(found.answer.kind, found.answer.amount) for found in page.items] == [(AnswerKind.SUCCEEDED, Money(4000, "EUR"))]
    state = slow.gateway.payment_state(payment)
    assert isinstance(state, PaymentState) and state.refunded == Money(4000, "EUR")
