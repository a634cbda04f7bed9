"""What every gateway must prove. A provider's test module subclasses `GatewayConformance` and gives it a `rig`."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import transaction

from refund_plugin.errors import GatewayInTransaction
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, ListedRefund, PaymentState, RefundPage
from refund_plugin.gateways.burning import KEY_BURNT, KEY_KNOWN, KEY_NOT_BURNABLE
from refund_plugin.gateways.facts import DisputePage
from refund_plugin.money import Money
from tests.gateways.rig import Rig, command_for


class GatewayConformance:
    """The promises of `Gateway`."""

    def test_part_of_a_payment_goes_back_and_the_answer_names_it(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        answer = rig.gateway.refund(command_for(payment, Money(500, "EUR")))
        assert (answer.kind, answer.amount) == (AnswerKind.SUCCEEDED, Money(500, "EUR"))
        assert rig.gateway.retrieve(answer.gateway_refund_id).kind == AnswerKind.SUCCEEDED

    @pytest.mark.parametrize(("minor", "currency"), [(1200, "JPY"), (12340, "KWD"), (1500, "ISK"), (70000, "UGX"), (1999, "USD")])
    def test_amounts_survive_the_gateways_own_units(self, rig: Rig, minor: int, currency: str) -> None:
        assert minor % rig.gateway.step(currency) == 0
        payment = rig.pay(Money(minor, currency))
        answer = rig.gateway.refund(command_for(payment, Money(minor, currency)))
        assert (answer.kind, answer.amount) == (AnswerKind.SUCCEEDED, Money(minor, currency))

    def test_the_same_command_again_moves_no_more_money(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        first, second = rig.gateway.refund(command), rig.gateway.refund(command)
        assert first.gateway_refund_id == second.gateway_refund_id
        assert rig.refunds_of(payment) == 1

    def test_a_key_used_for_another_amount_proves_nothing_and_moves_nothing(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        rig.gateway.refund(command)
        other = command_for(payment, Money(600, "EUR"), idempotency_key=command.idempotency_key, refund_id=command.refund_id)
        assert rig.gateway.refund(other).kind == AnswerKind.MAYBE_EXECUTED
        assert rig.refunds_of(payment) == 1

    def test_more_than_is_left_is_refused_for_good(self, rig: Rig) -> None:
        payment = rig.pay(Money(1000, "EUR"))
        rig.gateway.refund(command_for(payment, Money(700, "EUR")))
        answer = rig.gateway.refund(command_for(payment, Money(301, "EUR")))
        assert answer.kind == AnswerKind.DEFINITIVE_NO
        assert answer.code
        assert rig.refunds_of(payment) == 1

    def test_several_parts_may_use_up_a_payment_and_what_follows_is_doubtful_not_refused(self, rig: Rig) -> None:
        payment = rig.pay(Money(1000, "EUR"))
        kinds = [rig.gateway.refund(command_for(payment, Money(minor, "EUR"))).kind for minor in (333, 333, 334)]
        assert kinds == [AnswerKind.SUCCEEDED] * 3
        # an earlier attempt of ours may be what used it up, so this is a reason to look
        answer = rig.gateway.refund(command_for(payment, Money(1, "EUR")))
        assert (answer.kind, answer.code) == (AnswerKind.MAYBE_EXECUTED, "charge_already_refunded")

    def test_an_unknown_payment_is_refused_for_good(self, rig: Rig) -> None:
        answer = rig.gateway.refund(command_for("pi_unknown", Money(100, "EUR")))
        assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "resource_missing")

    def test_a_lost_answer_is_doubtful_and_the_refund_can_be_found_and_replayed(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(1820, "EUR"))
        rig.misbehave("timeout_after_commit")
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED
        found = rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id)
        assert found is not None
        assert (found.kind, found.amount) == (AnswerKind.SUCCEEDED, command.amount)
        assert rig.gateway.refund(command).gateway_refund_id == found.gateway_refund_id
        assert rig.refunds_of(payment) == 1

    def test_a_request_lost_on_the_way_is_doubtful_absent_and_can_be_sent_again(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(1820, "EUR"))
        rig.misbehave("timeout_before_commit")
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED
        assert rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id) is None
        assert rig.gateway.refund(command).kind == AnswerKind.SUCCEEDED
        assert rig.refunds_of(payment) == 1

    @pytest.mark.parametrize(("how", "hold"), [("refused_connection", False), ("bad_key", True), ("rate_limited", False)])
    def test_what_surely_was_not_executed_says_so(self, rig: Rig, how: str, hold: bool) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.misbehave(how)
        answer = rig.gateway.refund(command_for(payment, Money(100, "EUR")))
        assert (answer.kind, answer.hold) == (AnswerKind.NOT_EXECUTED, hold)
        assert rig.refunds_of(payment) == 0

    def test_a_rate_limit_is_called_one(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.misbehave("rate_limited")
        assert rig.gateway.refund(command_for(payment, Money(100, "EUR"))).code == "rate_limit"

    @pytest.mark.parametrize("end", [AnswerKind.SUCCEEDED, AnswerKind.FAILED])
    def test_a_pending_refund_ends_later(self, rig: Rig, end: AnswerKind) -> None:
        payment = rig.pay(Money(1820, "EUR"), refunds_pend=True)
        answer = rig.gateway.refund(command_for(payment, Money(1820, "EUR")))
        assert answer.kind == AnswerKind.PENDING
        rig.end(answer.gateway_refund_id, end)
        assert rig.gateway.retrieve(answer.gateway_refund_id).kind == end

    def test_a_refund_that_failed_leaves_the_money_refundable(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        first = rig.gateway.refund(command_for(payment, Money(1820, "EUR")))
        rig.end(first.gateway_refund_id, AnswerKind.FAILED)
        assert rig.gateway.refund(command_for(payment, Money(1820, "EUR"))).kind == AnswerKind.SUCCEEDED

    def test_a_refund_of_somebody_else_is_not_taken_for_ours(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.gateway.refund(command_for(payment, Money(100, "EUR")))
        assert rig.gateway.find(gateway_payment_id=payment, refund_id=uuid4()) is None

    def test_a_refund_that_cannot_be_read_is_doubtful_not_failed(self, rig: Rig) -> None:
        assert rig.gateway.retrieve("re_unknown").kind == AnswerKind.MAYBE_EXECUTED

    def test_a_replayed_answer_says_so(self, rig: Rig) -> None:
        command = command_for(rig.pay(Money(1820, "EUR")), Money(500, "EUR"))
        assert [rig.gateway.refund(command).idempotent_replayed for _ in range(2)] == [False, True]

    def test_a_burnt_key_can_never_pay(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        answer = rig.gateway.burn(command, Money(1820, "EUR"))
        assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, KEY_BURNT)
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED  # a late sender
        assert rig.refunds_of(payment) == 0
        assert rig.gateway.refund(command_for(payment, Money(1820, "EUR"))).kind == AnswerKind.SUCCEEDED

    def test_burning_a_key_twice_burns_it_once(self, rig: Rig) -> None:
        command = command_for(rig.pay(Money(1820, "EUR")), Money(500, "EUR"))
        assert [rig.gateway.burn(command, Money(1820, "EUR")).code for _ in range(2)] == [KEY_BURNT] * 2

    def test_a_key_that_paid_cannot_be_burnt(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        rig.gateway.refund(command)
        answer = rig.gateway.burn(command, Money(1820, "EUR"))
        assert (answer.kind, answer.code) == (AnswerKind.MAYBE_EXECUTED, KEY_KNOWN)
        assert rig.refunds_of(payment) == 1

    def test_a_key_of_a_payment_that_is_used_up_can_be_burnt(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.gateway.refund(command_for(payment, Money(1820, "EUR")))
        command = command_for(payment, Money(500, "EUR"))
        assert rig.gateway.burn(command, Money(1820, "EUR")).code == KEY_BURNT
        assert rig.refunds_of(payment) == 1

    @pytest.mark.parametrize(("minor", "currency"), [(1200, "JPY"), (12340, "KWD"), (1500, "ISK"), (1999, "USD")])
    def test_keys_are_burnt_in_every_unit(self, rig: Rig, minor: int, currency: str) -> None:
        payment = rig.pay(Money(minor, currency))
        assert rig.gateway.burn(command_for(payment, Money(minor, currency)), Money(minor, currency)).code == KEY_BURNT
        assert rig.refunds_of(payment) == 0

    def test_burning_never_pays_even_when_we_know_too_little_was_captured(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        assert rig.gateway.burn(command_for(payment, Money(500, "EUR")), Money(500, "EUR")).code == KEY_BURNT
        assert rig.refunds_of(payment) == 0

    @pytest.mark.parametrize("captured", [Money(499, "EUR"), Money(5000, "USD")])
    def test_burning_over_a_payment_that_cannot_be_the_one_is_refused(self, rig: Rig, captured: Money) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        answer = rig.gateway.burn(command_for(payment, Money(500, "EUR")), captured)
        assert (answer.kind, answer.code) == (AnswerKind.MAYBE_EXECUTED, KEY_NOT_BURNABLE)
        assert rig.refunds_of(payment) == 0

    @pytest.mark.parametrize("how", ["timeout_before_commit", "timeout_after_commit", "refused_connection", "rate_limited"])
    def test_a_key_is_only_called_burnt_when_the_gateway_said_so(self, rig: Rig, how: str) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        rig.misbehave(how)
        answer = rig.gateway.burn(command, Money(1820, "EUR"))
        assert answer.kind in (AnswerKind.MAYBE_EXECUTED, AnswerKind.NOT_EXECUTED)
        assert answer.code != KEY_BURNT

    def test_burning_the_key_of_a_cancellation_cancels_nothing(self, rig: Rig) -> None:
        payment = rig.authorise(Money(1820, "EUR"))
        command = command_for(payment, Money(1820, "EUR"), operation="cancel_payment")
        assert rig.gateway.burn(command, Money(1820, "EUR")).code == KEY_BURNT
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED
        assert rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id, operation="cancel_payment") is None

    def test_a_gateway_that_forgot_a_key_would_pay_again_so_keys_are_not_replayed_for_ever(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        rig.gateway.refund(command)
        rig.forget_keys()
        assert not rig.gateway.refund(command).idempotent_replayed
        assert rig.refunds_of(payment) == 2

    def test_a_payment_that_was_not_captured_is_canceled_as_a_whole(self, rig: Rig) -> None:
        payment = rig.authorise(Money(1820, "EUR"))
        state = rig.gateway.payment_state(payment)
        assert isinstance(state, PaymentState)
        assert (state.captured, state.refunded, state.is_captured) == (Money(1820, "EUR"), Money(0, "EUR"), False)
        command = command_for(payment, Money(1820, "EUR"), operation="cancel_payment")
        answer = rig.gateway.refund(command)
        assert (answer.kind, answer.gateway_refund_id, answer.amount) == (AnswerKind.SUCCEEDED, f"cancel:{payment}", Money(1820, "EUR"))
        assert rig.gateway.refund(command).idempotent_replayed
        assert rig.gateway.retrieve(answer.gateway_refund_id).kind == AnswerKind.SUCCEEDED
        found = rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id, operation="cancel_payment")
        assert found is not None
        assert (found.kind, found.gateway_refund_id) == (AnswerKind.SUCCEEDED, f"cancel:{payment}")
        state = rig.gateway.payment_state(payment)
        assert isinstance(state, PaymentState)
        assert (state.captured, state.refunded, state.is_canceled) == (Money(0, "EUR"), Money(0, "EUR"), True)

    def test_what_somebody_canceled_before_counts_as_canceled(self, rig: Rig) -> None:
        payment = rig.authorise(Money(1820, "EUR"))
        kinds = [rig.gateway.refund(command_for(payment, Money(1820, "EUR"), operation="cancel_payment")).kind for _ in range(2)]
        assert kinds == [AnswerKind.SUCCEEDED] * 2

    def test_a_captured_payment_cannot_be_canceled(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(1820, "EUR"), operation="cancel_payment")
        answer = rig.gateway.refund(command)
        assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "payment_intent_unexpected_state")
        assert rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id, operation="cancel_payment") is None
        assert rig.gateway.retrieve(f"cancel:{payment}").kind == AnswerKind.MAYBE_EXECUTED

    def test_a_payment_that_was_not_captured_cannot_be_refunded(self, rig: Rig) -> None:
        payment = rig.authorise(Money(1820, "EUR"))
        assert rig.gateway.refund(command_for(payment, Money(500, "EUR"))).kind == AnswerKind.DEFINITIVE_NO
        assert rig.refunds_of(payment) == 0

    def test_a_cancellation_whose_answer_was_lost_is_doubtful_and_found(self, rig: Rig) -> None:
        payment = rig.authorise(Money(1820, "EUR"))
        command = command_for(payment, Money(1820, "EUR"), operation="cancel_payment")
        rig.misbehave("timeout_after_commit")
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED
        found = rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id, operation="cancel_payment")
        assert found is not None
        assert found.kind == AnswerKind.SUCCEEDED

    def test_a_disputed_payment_is_refused_until_the_dispute_is_won(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.dispute(payment)
        answer = rig.gateway.refund(command_for(payment, Money(500, "EUR")))
        assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "charge_disputed")
        state = rig.gateway.payment_state(payment)
        assert isinstance(state, PaymentState)
        assert (state.disputed, state.captured, state.refunded) == (True, Money(1820, "EUR"), Money(0, "EUR"))
        rig.win_dispute(payment)
        assert rig.gateway.refund(command_for(payment, Money(500, "EUR"))).kind == AnswerKind.SUCCEEDED

    def test_disputes_are_listed_by_payment_as_they_stand(self, rig: Rig) -> None:
        disputed, other = rig.pay(Money(1820, "EUR")), rig.pay(Money(500, "EUR"))
        rig.dispute(disputed)
        page = rig.gateway.list_disputes(gateway_payment_id=disputed)
        assert isinstance(page, DisputePage)
        [dispute] = page.items
        assert (dispute.gateway_payment_id, dispute.amount, dispute.is_open, page.cursor) == (disputed, Money(1820, "EUR"), True, "")
        assert rig.gateway.list_disputes(gateway_payment_id=other) == DisputePage(())
        rig.win_dispute(disputed)
        page = rig.gateway.list_disputes()
        assert isinstance(page, DisputePage)
        assert [(item.dispute_id, item.is_open, item.is_won) for item in page.items] == [(dispute.dispute_id, False, True)]

    def test_a_key_can_be_burnt_while_the_payment_is_disputed(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        rig.dispute(payment)
        assert rig.gateway.burn(command, Money(1820, "EUR")).code == KEY_BURNT
        rig.win_dispute(payment)
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED
        assert rig.refunds_of(payment) == 0

    def test_a_listing_may_lag_behind_what_the_gateway_knows(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.lag_listings(3600)
        command = command_for(payment, Money(500, "EUR"))
        made = rig.gateway.refund(command).gateway_refund_id
        assert rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id) is None
        assert self.listed(rig, None) == []
        assert rig.gateway.retrieve(made).kind == AnswerKind.SUCCEEDED
        rig.lag_listings(0)
        assert [item.gateway_refund_id for item in self.listed(rig, None)] == [made]

    def test_all_refunds_are_listed_newest_first_whoever_made_them(self, rig: Rig) -> None:
        one, other = rig.pay(Money(1820, "EUR")), rig.pay(Money(1820, "EUR"))
        command = command_for(one, Money(500, "EUR"))
        first = rig.gateway.refund(command).gateway_refund_id
        second = rig.refund_elsewhere(other, Money(300, "EUR"))
        page = rig.gateway.list_refunds()
        assert isinstance(page, RefundPage)
        assert page.cursor == ""
        assert [
            (item.gateway_refund_id, item.gateway_payment_id, item.refund_id, item.installation, item.answer.kind, item.answer.amount)
            for item in page.items
        ] == [
            (second, other, None, "", AnswerKind.SUCCEEDED, Money(300, "EUR")),
            (first, one, command.refund_id, "shop-1", AnswerKind.SUCCEEDED, Money(500, "EUR")),
        ]
        of_one = rig.gateway.list_refunds(gateway_payment_id=one)
        assert isinstance(of_one, RefundPage)
        assert [item.gateway_refund_id for item in of_one.items] == [first]

    def test_a_listing_is_read_page_by_page(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        made = [rig.refund_elsewhere(payment, Money(100, "EUR")) for _ in range(5)]
        seen, cursor, pages = [], "", 0
        while pages == 0 or cursor:
            page = rig.gateway.list_refunds(cursor=cursor, limit=2)
            assert isinstance(page, RefundPage)
            seen += [item.gateway_refund_id for item in page.items]
            cursor, pages = page.cursor, pages + 1
        assert (seen, pages) == (made[::-1], 3)

    def test_a_listing_leaves_out_what_is_older(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.refund_elsewhere(payment, Money(100, "EUR"))
        (made,) = self.listed(rig, None)
        assert self.listed(rig, made.created) == [made]
        assert self.listed(rig, made.created + timedelta(hours=1)) == []

    def listed(self, rig: Rig, created_after: datetime | None) -> list[ListedRefund]:
        page = rig.gateway.list_refunds(created_after=created_after)
        assert isinstance(page, RefundPage)
        return list(page.items)

    def test_a_page_that_cannot_be_read_is_no_empty_page(self, rig: Rig) -> None:
        rig.break_next_listing()
        answer = rig.gateway.list_refunds()
        assert isinstance(answer, GatewayAnswer)
        assert answer.kind == AnswerKind.MAYBE_EXECUTED

    def test_a_payment_tells_what_was_captured_and_refunded(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.gateway.refund(command_for(payment, Money(500, "EUR")))
        rig.refund_elsewhere(payment, Money(300, "EUR"))
        state = rig.gateway.payment_state(payment)
        assert isinstance(state, PaymentState)
        assert (state.gateway_payment_id, state.captured, state.refunded) == (payment, Money(1820, "EUR"), Money(800, "EUR"))
        assert (state.is_captured, state.is_canceled, state.disputed) == (True, False, False)
        assert (state.method, state.brand, state.last4) == ("card", "visa", "4242")
        assert state.paid_at is not None

    def test_an_unknown_payment_has_no_state(self, rig: Rig) -> None:
        answer = rig.gateway.payment_state("pi_unknown")
        assert isinstance(answer, GatewayAnswer)
        assert (answer.kind, answer.code) == (AnswerKind.MAYBE_EXECUTED, "resource_missing")

    def test_a_test_payment_can_be_refunded_and_is_made_once_per_key(self, rig: Rig) -> None:
        payments = {rig.gateway.make_test_payment(Money(100, "EUR"), key=key) for key in ("self-test-1", "self-test-1", "self-test-2")}
        assert len(payments) == 2
        payment = next(iter(payments))
        assert isinstance(payment, str)
        assert rig.gateway.refund(command_for(payment, Money(100, "EUR"))).kind == AnswerKind.SUCCEEDED

    def test_the_account_answers_a_ping(self, rig: Rig) -> None:
        assert rig.gateway.ping().kind == AnswerKind.SUCCEEDED

    @pytest.mark.django_db
    def test_nothing_is_sent_while_a_transaction_is_open(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        with pytest.raises(GatewayInTransaction), transaction.atomic():
            rig.gateway.refund(command_for(payment, Money(100, "EUR")))
        assert rig.refunds_of(payment) == 0
