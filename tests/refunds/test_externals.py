"""Refunds that were made past us count, pend and fail like any other, and nothing unsent goes out after them."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refund_plugin import clock
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, Required, WrongState
from refund_plugin.events.models import Event
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.allocate import allocate_external, suggest_allocation
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.execute import begin_attempts, claim_due, give_back
from refund_plugin.refunds.externals import Seen, record_external, record_seen
from refund_plugin.refunds.ledger.models import LedgerEntry
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.manual.services import look_at_refund
from refund_plugin.refunds.models import Alert, Refund, WaitsFor
from refund_plugin.refunds.outcomes import ELSEWHERE, Told, record_answer, record_answers
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.states import RefundState
from tests.factories import EBOOK, LICENCE, NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

EUR = "EUR"


def seen(payment, minor, kind=AnswerKind.SUCCEEDED, *, name="re_dash", at=NOW, refund_id=None, installation="", **changes):
    answer = GatewayAnswer(kind=kind, gateway_refund_id=name, amount=Money(minor, EUR), **changes)
    return Seen(gateway_payment_id=payment.gateway_payment_id, refund_id=refund_id, installation=installation, answer=answer, told_at=at)


def tell(*items):
    return record_seen(account=default_account(), seen=items, now=NOW)


def payment_of(purchase) -> Payment:
    return purchase.payments.get()


def fine():
    report = verify()
    assert report.fine, report.differences
    return True


@pytest.fixture
def purchase(policy):
    return make_purchase(lines=[EBOOK])


def test_a_refund_made_in_the_dashboard_becomes_a_row_that_counts(purchase):
    assert tell(seen(payment_of(purchase), 500)) == [True]

    refund, payment = Refund.objects.get(), payment_of(purchase)
    assert (refund.origin, refund.state, refund.owed, refund.request, refund.gateway_refund_id) == (
        "external",
        "succeeded",
        False,
        None,
        "re_dash",
    )
    assert (payment.gone_minor, payment.unallocated_minor, payment.over_minor, payment.left.minor) == (500, 500, 0, 1320)
    assert sorted(LedgerEntry.objects.values_list("event", "account", "debit_minor", "credit_minor")) == [
        ("external", "gateway_clearing", 0, 500),
        ("external", "unallocated", 500, 0),
    ]
    assert Alert.objects.get().kind == "external_refund" and fine()
    assert Event.objects.get(kind="refund_external").payload["purchase"] == purchase.pk


def test_the_same_refund_told_many_times_is_one_row_and_one_alert(purchase):
    for _time in range(3):
        tell(seen(payment_of(purchase), 500), seen(payment_of(purchase), 500))

    assert Refund.objects.count() == Alert.objects.count() == 1
    assert payment_of(purchase).gone_minor == 500


def test_a_refund_on_an_unknown_payment_or_of_another_account_changes_nothing(purchase):
    payment = payment_of(purchase)
    payment.gateway_payment_id = "pi_of_somebody_else"

    assert tell(seen(payment, 500)) == [False]
    assert not Refund.objects.exists()


def test_what_goes_out_past_us_stops_what_was_not_sent_yet(purchase, gateway):
    ours = only_refund(ask(purchase))

    tell(seen(payment_of(purchase), 1820))
    drive_refunds()

    ours.refresh_from_db()
    payment = payment_of(purchase)
    assert (ours.state, ours.waits_for, bool(ours.needs_person)) == ("reserved", "person", True)
    assert (payment.held_minor, payment.gone_minor, payment.over_minor) == (1820, 1820, 1820)
    assert gateway.sent == [] and Alert.objects.filter(kind="money_over").exists() and fine()


def test_an_external_refund_pends_succeeds_and_is_returned_like_any_other(purchase):
    payment, later = payment_of(purchase), itertools.count(1)

    def step(kind):
        tell(seen(payment, 500, kind, at=NOW + timedelta(seconds=next(later))))
        refund, row = Refund.objects.get(), payment_of(purchase)
        return refund.state, row.held_minor, row.gone_minor, row.unallocated_minor

    assert step(AnswerKind.PENDING) == ("pending", 500, 0, 500)
    assert step(AnswerKind.SUCCEEDED) == ("succeeded", 0, 500, 500)
    assert step(AnswerKind.FAILED) == ("failed", 0, 0, 0)
    assert fine()


def test_a_pending_external_refund_is_asked_about_like_our_own(purchase, gateway, monkeypatch):
    name = gateway.refund_externally(payment_of(purchase).gateway_payment_id, Money(500, EUR), AnswerKind.PENDING)
    tell(seen(payment_of(purchase), 500, AnswerKind.PENDING, name=name))
    gateway.settle(name, AnswerKind.SUCCEEDED)
    Refund.objects.update(due_at=NOW)

    drive_refunds()

    assert Refund.objects.get().state == "succeeded"
    assert gateway.sent == []


def test_metadata_of_another_installation_is_not_believed(purchase):
    ours = only_refund(ask(purchase))

    tell(seen(payment_of(purchase), 1820, refund_id=ours.pk, installation="staging"))

    ours.refresh_from_db()
    assert ours.state == "reserved"
    assert Refund.objects.get(origin="external").state == "succeeded"


def test_our_id_that_we_do_not_know_any_more_counts_as_external(purchase):
    tell(seen(payment_of(purchase), 1820, refund_id=uuid.uuid4(), installation="default"))

    assert Refund.objects.get().origin == "external" and payment_of(purchase).gone_minor == 1820


def test_ours_is_recognised_by_its_metadata_and_by_the_gateways_id(purchase):
    ours = only_refund(ask(purchase))

    tell(seen(payment_of(purchase), 1820, AnswerKind.PENDING, name="re_1", refund_id=ours.pk, installation="default"))
    tell(seen(payment_of(purchase), 1820, name="re_1", at=NOW + timedelta(seconds=1)))

    ours.refresh_from_db()
    assert (ours.state, ours.gateway_refund_id, Refund.objects.count()) == ("succeeded", "re_1", 1)


def test_a_second_object_with_our_metadata_is_money_of_its_own(purchase):
    ours = only_refund(ask(purchase))

    tell(
        seen(payment_of(purchase), 1820, name="re_1", refund_id=ours.pk, installation="default"),
        seen(payment_of(purchase), 1820, name="re_2", refund_id=ours.pk, installation="default"),
    )

    payment = payment_of(purchase)
    assert set(Refund.objects.values_list("gateway_refund_id", "origin")) == {("re_1", "engine"), ("re_2", "external")}
    assert (payment.gone_minor, payment.over_minor) == (3640, 1820)
    assert fine()


def test_what_the_gateway_pays_after_a_person_did_is_money_of_its_own(purchase):
    ours = only_refund(ask(purchase))
    for state in ("manual_claimed", "manual_paid"):
        Refund.objects.filter(pk=ours.pk).update(state=state)
    Payment.objects.update(held_minor=0, gone_minor=1820)

    tell(seen(payment_of(purchase), 1820, refund_id=ours.pk, installation="default"))

    ours.refresh_from_db()
    assert ours.state == "manual_paid"
    assert (payment_of(purchase).gone_minor, payment_of(purchase).over_minor) == (3640, 1820)


def test_a_refund_in_another_currency_than_the_payment_is_told_and_counts_nothing(purchase):
    item = seen(payment_of(purchase), 500)
    tell(replace(item, answer=replace(item.answer, amount=Money(500, "USD"))))

    assert not Refund.objects.exists()
    assert "USD" in Alert.objects.get().why


def test_while_external_money_is_not_assigned_new_requests_go_to_a_person(purchase):
    tell(seen(payment_of(purchase), 100))

    assert ask(purchase).state == "in_review"


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
def test_any_order_and_any_repetition_of_what_is_told_ends_the_same(policy, data):
    purchase = make_purchase(lines=[EBOOK])
    payment = payment_of(purchase)
    end = data.draw(st.sampled_from([AnswerKind.SUCCEEDED, AnswerKind.FAILED]))
    stories = [
        [
            seen(payment, 500, kind, name=f"re_{purchase.pk}_{which}", at=NOW - timedelta(seconds=60 - index))
            for index, kind in enumerate(kinds)
        ]
        for which, kinds in enumerate(
            [[AnswerKind.PENDING, AnswerKind.SUCCEEDED, end], [AnswerKind.PENDING, AnswerKind.FAILED], [AnswerKind.SUCCEEDED]]
        )
    ]
    items = [item for story in stories for item in story]
    for item in data.draw(st.permutations(items + items)):
        tell(item)

    states = dict(Refund.objects.filter(payment=payment).values_list("gateway_refund_id", "state"))
    assert states == {
        f"re_{purchase.pk}_0": end.value,
        f"re_{purchase.pk}_1": "failed",
        f"re_{purchase.pk}_2": "succeeded",
    }
    expected = 500 + (500 if end == AnswerKind.SUCCEEDED else 0)
    payment = payment_of(purchase)
    assert (payment.held_minor, payment.gone_minor, payment.unallocated_minor) == (0, expected, expected)


class TestAllocating:
    """Staff say which lines an external refund belongs to."""

    @pytest.fixture
    def bought(self, policy):
        purchase = make_purchase(lines=[EBOOK, LICENCE])
        tell(seen(payment_of(purchase), 2000))
        return purchase

    def allocate(self, purchase, by_position, **changes):
        lines = list(purchase.lines.all())
        arguments = {
            "refund_id": Refund.objects.filter(origin="external").earliest("created_at", "pk").pk,
            "amounts": {lines[index].pk: amount for index, amount in by_position.items()},
            "by": CLERK,
            "reason": "She called.",
            "now": NOW,
            **changes,
        }
        return allocate_external(**arguments)

    def test_the_money_moves_from_unallocated_to_revenue_and_tax_and_to_the_lines(self, bought):
        self.allocate(bought, {0: 400, 1: 1600})

        book, licence = bought.lines.all()
        assert (book.gone_minor, book.gone_quantity, book.refunded_tax_minor) == (400, 0, 26)
        assert (licence.gone_minor, licence.gone_quantity) == (1600, 2)  # two licences of 8.00 are paid back whole
        assert payment_of(bought).unallocated_minor == 0
        booked = {entry.account: entry.debit_minor - entry.credit_minor for entry in LedgerEntry.objects.filter(event="allocated")}
        assert booked == {"revenue_contra": 1974, "tax": 26, "unallocated": -2000}
        assert fine()
        assert ask(bought, {licence: 1}).state == "approved"  # the purchase is clear again

    def test_an_allocated_refund_that_is_returned_frees_its_lines_again(self, bought):
        self.allocate(bought, {1: 2000})

        tell(seen(payment_of(bought), 2000, AnswerKind.FAILED, at=NOW + timedelta(hours=1)))

        assert [line.gone_minor for line in bought.lines.all()] == [0, 0]
        assert payment_of(bought).unallocated_minor == 0 and fine()

    def test_more_than_is_left_on_a_line_is_told_as_over(self, bought):
        self.allocate(bought, {0: 2000})

        book = bought.lines.first()
        assert (book.gone_minor, book.over_minor, book.gone_quantity) == (2000, 180, 1) and fine()

    @pytest.mark.parametrize(
        ("amounts", "changes", "error"),
        [
            ({0: 100}, {}, InvalidInput),
            ({0: 2100}, {}, InvalidInput),
            ({0: 2100, 1: -100}, {}, InvalidInput),
            ({}, {"amounts": {999999: 2000}}, InvalidInput),
            ({0: 2000}, {"reason": " "}, Required),
            ({0: 2000}, {"by": replace(CLERK, actions=frozenset())}, NotAllowed),
            ({0: 2000}, {"by": replace(CLERK, store_id=999999)}, NotFound),
            ({0: 2000}, {"by": replace(CLERK, email="ada@example.com")}, NotAllowed),
            ({0: 2000}, {"refund_id": uuid.uuid4()}, NotFound),
        ],
    )
    def test_what_does_not_fit_is_refused_and_changes_nothing(self, bought, amounts, changes, error):
        with pytest.raises(error):
            self.allocate(bought, amounts, **changes)

        assert payment_of(bought).unallocated_minor == 2000
        assert not LedgerEntry.objects.filter(event="allocated").exists()

    def test_it_is_done_once_and_only_for_money_that_is_gone(self, bought):
        self.allocate(bought, {0: 400, 1: 1600})
        with pytest.raises(WrongState):
            self.allocate(bought, {0: 400, 1: 1600})
        other = make_purchase(lines=[EBOOK])
        tell(seen(payment_of(other), 100, AnswerKind.FAILED, name="re_failed"))
        with pytest.raises(WrongState):
            self.allocate(other, {0: 100}, refund_id=Refund.objects.get(gateway_refund_id="re_failed").pk)

    def test_the_suggestion_fills_the_lines_in_order_and_adds_up(self, bought):
        refund = Refund.objects.get(origin="external")

        suggested = suggest_allocation(refund)

        book, licence = bought.lines.all()
        assert suggested == {book.pk: 1820, licence.pk: 180}


def test_what_is_not_sent_waits_when_a_part_was_refunded_elsewhere_and_goes_on_when_a_person_looked(policy, gateway):
    purchase = make_purchase(lines=[EBOOK, LICENCE])
    request = ask(purchase, {purchase.lines.get(sku=EBOOK.sku): 1})
    payment = purchase.payments.get()
    seen = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_elsewhere", amount=Money(1820, "EUR"))
    record_external(payment_id=payment.pk, answer=seen, told_at=NOW, now=NOW)
    assert drive_refunds() == 0  # the line may have been paid for in the dashboard just now
    refund = only_refund(request)
    assert (refund.state, refund.waits_for) == (RefundState.RESERVED, WaitsFor.PERSON)
    look_at_refund(refund_id=refund.pk, by=CLERK, note="Another line.", now=NOW)
    drive_refunds()
    assert only_refund(request).state == RefundState.SUCCEEDED


class TestWhatIsClaimedWhenMoneyGoesOutPastUs:
    """A worker holds it, or its call comes back unsent: it waits for a person, as if nobody had claimed it."""

    @pytest.fixture
    def asked(self, policy, gateway):
        purchase = make_purchase(lines=[EBOOK, LICENCE])
        return ask(purchase, {purchase.lines.get(sku=EBOOK.sku): 1})

    def refund_elsewhere(self, asked):
        seen = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_elsewhere", amount=Money(1820, "EUR"))
        record_external(payment_id=only_refund(asked).payment_id, answer=seen, told_at=NOW, now=NOW)

    def check_it_waits(self, asked, gateway):
        refund = only_refund(asked)
        assert (refund.state, refund.waits_for, refund.needs_person) == (RefundState.RESERVED, WaitsFor.PERSON, ELSEWHERE)
        assert refund.lease_until is None and drive_refunds() == 0 and not gateway.sent

    def test_before_the_call(self, asked, gateway):
        claims = claim_due(batch=1)
        self.refund_elsewhere(asked)
        assert only_refund(asked).waits_for == WaitsFor.NOTHING  # its worker finishes with it first

        assert begin_attempts(claims) == []

        self.check_it_waits(asked, gateway)

    def test_and_is_given_back(self, asked, gateway):
        claims = claim_due(batch=1)
        self.refund_elsewhere(asked)

        give_back(claims, seconds=0)

        self.check_it_waits(asked, gateway)

    @pytest.mark.parametrize("kind", [AnswerKind.NOT_EXECUTED, None], ids=["refused", "not listed"])
    def test_and_its_call_sends_nothing(self, asked, gateway, kind):
        Refund.objects.update(list_first=kind is None)
        [started] = begin_attempts(claim_due(batch=1))
        self.refund_elsewhere(asked)

        answer = GatewayAnswer(kind=kind, code="rate_limit") if kind else None
        record_answers([Told(started.refund_id, answer, started.call)], now=NOW)

        self.check_it_waits(asked, gateway)

    def test_and_the_worker_dies(self, asked, gateway):
        claim_due(batch=1)
        self.refund_elsewhere(asked)

        with clock.travel(timedelta(hours=1)):
            assert drive_refunds() == 0

        self.check_it_waits(asked, gateway)


def test_a_refund_that_was_paid_after_all_stops_its_successor(policy, gateway):
    purchase = make_purchase(lines=[EBOOK, LICENCE])
    request = ask(purchase, {purchase.lines.get(sku=EBOOK.sku): 1})
    drive_refunds()
    refund = only_refund(request)
    told = {"gateway_refund_id": refund.gateway_refund_id, "amount": refund.amount}
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, **told), now=NOW)
    successor = retry_refund(refund_id=refund.pk, by=CLERK, reason="returned", now=NOW)
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.SUCCEEDED, **told), now=NOW)
    assert drive_refunds() == 0
    successor.refresh_from_db()
    assert (successor.state, successor.waits_for) == (RefundState.RESERVED, WaitsFor.PERSON)


def books(**only):
    """Return what stands on every account: debits less credits, without those that came to nothing."""
    totals: dict[str, int] = {}
    for account, debit, credit in LedgerEntry.objects.filter(**only).values_list("account", "debit_minor", "credit_minor"):
        totals[account] = totals.get(account, 0) + debit - credit
    return {account: total for account, total in totals.items() if total}


def test_an_assigned_refund_whose_money_comes_back_gives_back_its_revenue_too(purchase):
    payment, line = payment_of(purchase), purchase.lines.get()
    tell(seen(payment, 500))
    allocate_external(refund_id=Refund.objects.get().pk, amounts={line.pk: 500}, by=CLERK, reason="phone", now=NOW)
    tax = Refund.objects.get().allocations.get().tax_minor
    assigned = {"revenue_contra": 500 - tax, "tax": tax, "gateway_clearing": -500}
    assert books() == assigned

    tell(seen(payment, 500, AnswerKind.FAILED, at=NOW + timedelta(seconds=1)))
    assert books() == {} and fine()

    tell(seen(payment, 500, AnswerKind.SUCCEEDED, at=NOW + timedelta(seconds=2)))
    assert books() == assigned and fine()


def test_more_than_was_captured_is_owed_by_the_customer_until_it_comes_back_or_is_assigned(purchase):
    payment, later = payment_of(purchase), itertools.count(1)

    def step(minor, name, kind=AnswerKind.SUCCEEDED):
        tell(seen(payment, minor, kind, name=name, at=NOW + timedelta(seconds=next(later))))
        assert fine()
        return books()

    assert step(1500, "re_1") == {"unallocated": 1500, "gateway_clearing": -1500}
    assert step(500, "re_2") == {"unallocated": 1820, "customer_receivable": 180, "gateway_clearing": -2000}
    assert step(500, "re_2", AnswerKind.FAILED) == {"unallocated": 1500, "gateway_clearing": -1500}

    step(500, "re_3")
    line = purchase.lines.get()
    for name in ("re_1", "re_3"):
        refund = Refund.objects.get(gateway_refund_id=name)
        allocate_external(refund_id=refund.pk, amounts={line.pk: refund.amount_minor}, by=CLERK, reason="phone", now=NOW)
        assert fine()
    assert set(books()) == {"revenue_contra", "tax", "gateway_clearing"}


def test_our_own_refund_that_is_let_go_leaves_no_debt_behind(purchase):
    ours = ask(purchase)
    tell(seen(payment_of(purchase), 1820))
    assert payment_of(purchase).over_minor == 1820
    assert "customer_receivable" not in books() and fine(), "what is only reserved has not gone"
    cancel_request(request_id=ours.pk, by=CLERK, now=NOW)
    assert "customer_receivable" not in books() and fine()


def test_a_payment_that_came_with_the_name_of_its_charge_is_known_by_both(purchase):
    payment = payment_of(purchase)
    told = replace(seen(payment, 500), gateway_payment_id="pi_1", charge_id=payment.gateway_payment_id)

    assert tell(told) == [True]
    assert tell(told) == [True]
    assert (Refund.objects.count(), payment_of(purchase).gone_minor) == (1, 500)
    assert tell(replace(told, charge_id="ch_of_somebody_else")) == [False]
