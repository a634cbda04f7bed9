"""A dispute takes the money once, stops what was not sent, and ends the same whatever order its words come in."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refund_plugin.actor import Actor, ActorKind
from refund_plugin.errors import AlreadyRefunded, NotAllowed, NotFound, Required, WrongState
from refund_plugin.events.models import Event
from refund_plugin.gateways.facts import WebhookDispute, WebhookWarning
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.disputes import record_dispute, record_warning, refund_in_full
from refund_plugin.refunds.externals import record_external
from refund_plugin.refunds.ledger.models import LedgerEntry
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Alert, Dispute, Refund
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.timeline import timeline
from refund_plugin.refunds.tracking import tracking_token
from tests.factories import COURSE, EBOOK, NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

DUE = datetime(2026, 3, 20, tzinfo=UTC)
_numbers = itertools.count()


def word(purchase, status, *, at=0, name="dp_1", minor=1820):
    return WebhookDispute(
        event_id=f"evt_{next(_numbers)}",
        event_type="charge.dispute.updated",
        livemode=False,
        created=NOW + timedelta(seconds=at),
        dispute_id=name,
        gateway_payment_id=purchase.payments.get().gateway_payment_id,
        status=status,
        amount=Money(minor, "EUR"),
        reason="product_not_received",
        is_inquiry=status.startswith("warning_"),
        is_open=status in ("warning_needs_response", "warning_under_review", "needs_response", "under_review"),
        is_won=status == "won",
        is_lost=status == "lost",
        evidence_due=DUE,
    )


def warning(purchase, *, actionable=True, at=0):
    return WebhookWarning(
        event_id=f"evt_{next(_numbers)}",
        event_type="radar.early_fraud_warning.created",
        livemode=False,
        created=NOW + timedelta(seconds=at),
        warning_id="issfr_1",
        gateway_payment_id=purchase.payments.get().gateway_payment_id,
        fraud_type="made_with_stolen_card",
        actionable=actionable,
    )


def tell(*told):
    for item in told:
        record = record_dispute if isinstance(item, WebhookDispute) else record_warning
        record(account=default_account(), told=item, now=NOW)


def numbers(purchase):
    payment = purchase.payments.get()
    return payment.held_minor, payment.gone_minor, payment.disputed_minor, payment.over_minor


def booked(purchase):
    sums: dict[str, int] = {}
    for entry in LedgerEntry.objects.filter(payment__purchase=purchase, event__startswith="dispute"):
        sums[entry.account] = sums.get(entry.account, 0) + entry.debit_minor - entry.credit_minor
    return {account: amount for account, amount in sums.items() if amount}


def fine():
    report = verify()
    assert report.fine, report.differences
    return True


def kinds():
    return set(Alert.objects.values_list("kind", flat=True))


@pytest.fixture
def purchase(policy):
    return make_purchase(lines=[EBOOK])


def test_an_open_dispute_takes_the_money_and_leaves_nothing_to_refund(purchase):
    tell(word(purchase, "needs_response"))

    assert numbers(purchase) == (0, 0, 1820, 0)
    assert purchase.payments.get().left.minor == 0
    assert booked(purchase) == {"dispute_receivable": 1820, "gateway_clearing": -1820}
    assert Event.objects.get(kind="dispute_opened").payload["amount_minor"] == 1820
    assert "2026-03-20" in Alert.objects.get(kind="dispute_opened").why and fine()


def test_it_cancels_what_was_not_sent_and_the_customer_reads_why(purchase, gateway):
    request = ask(purchase)

    tell(word(purchase, "needs_response"))
    drive_refunds()

    refund = only_refund(request)
    assert (refund.state, refund.failure_code, refund.owed) == ("canceled", "dispute", False)
    assert gateway.sent == []
    assert numbers(purchase) == (0, 0, 1820, 0) and purchase.lines.get().held_minor == 0
    told = timeline(request)
    assert (told.status_code, told.settlement, told.final) == ("disputed", "stopped", False)
    assert "your bank decides now" in told.next_step
    assert [step.code for step in told.steps][-1] == "stopped"
    assert fine()


def test_the_tracking_page_says_that_the_bank_decides(purchase, client):
    request = ask(purchase)
    tell(word(purchase, "needs_response"))

    page = client.get(reverse("refund_plugin:track", args=[tracking_token(request)])).content.decode()

    assert "Your bank decides about this payment" in page and "The money was not sent" in page
    assert 'data-final="no"' in page and "about to be sent" not in page


def test_it_flags_what_cannot_be_stopped_any_more(purchase, gateway):
    request = ask(purchase)
    gateway.script("timeout_before_commit")
    drive_refunds()

    tell(word(purchase, "needs_response"))

    refund = only_refund(request)
    assert (refund.state, refund.needs_person) == ("unknown", "could not be stopped: dispute")
    assert numbers(purchase) == (1820, 0, 1820, 1820)
    assert {"refund_not_stopped", "money_over"} <= kinds() and fine()


def test_a_refund_that_was_paid_before_the_dispute_stays_refunded_for_the_customer(purchase):
    request = ask(purchase)
    drive_refunds()

    tell(word(purchase, "needs_response"))

    assert timeline(request).status_code == "refunded"
    assert numbers(purchase) == (0, 1820, 1820, 1820)
    assert "refund_not_stopped" in kinds() and fine()


def test_a_refund_that_is_claimed_when_the_dispute_comes_is_not_sent(purchase, gateway):
    from refund_plugin.refunds.execute import begin_attempts, claim_due

    request = ask(purchase, {purchase.lines.get(): 1})
    claims = claim_due(batch=1)
    tell(word(purchase, "needs_response"))

    assert begin_attempts(claims) == []
    drive_refunds()
    assert only_refund(request).waits_for == "person" and gateway.sent == []


def test_won_brings_the_money_back_and_says_which_refunds_may_be_asked_for_again(purchase):
    ask(purchase)

    tell(word(purchase, "needs_response"), word(purchase, "won", at=1))

    assert numbers(purchase) == (0, 0, 0, 0)
    assert booked(purchase) == {}
    assert Event.objects.filter(kind="dispute_won").exists() and "dispute_won" in kinds()
    assert ask(purchase).state == "approved" and fine()


def test_lost_stays_gone_as_a_loss(purchase):
    tell(word(purchase, "needs_response"), word(purchase, "lost", at=1))

    assert numbers(purchase) == (0, 0, 1820, 0)
    assert booked(purchase) == {"loss": 1820, "gateway_clearing": -1820}
    assert Dispute.objects.get().closed_at == NOW + timedelta(seconds=1)
    assert Event.objects.filter(kind="dispute_lost").exists() and fine()


def test_two_disputes_of_one_payment_add_up(policy):
    purchase = make_purchase(lines=[EBOOK, COURSE])

    tell(
        word(purchase, "needs_response", minor=1000),
        word(purchase, "needs_response", name="dp_2", minor=500),
        word(purchase, "won", at=1, minor=1000),
    )

    assert numbers(purchase) == (0, 0, 500, 0) and fine()


def test_a_partly_disputed_payment_is_left_to_a_person(policy):
    purchase = make_purchase(lines=[EBOOK, COURSE])
    tell(word(purchase, "needs_response", minor=100))

    assert ask(purchase, {purchase.lines.first(): 1}).state == "in_review"


@pytest.mark.parametrize(("status", "state"), [("needs_response", "reserved"), ("lost", "succeeded")])
def test_only_while_a_part_is_disputed_the_rest_is_not_sent(policy, status, state):
    purchase = make_purchase(lines=[EBOOK, COURSE])
    tell(word(purchase, status, minor=100))
    request = ask(purchase, {purchase.lines.first(): 1})
    approve_request(request_id=request.pk, by=CLERK, reason="Fine.", now=NOW)

    drive_refunds()

    assert only_refund(request).state == state


def test_a_dispute_of_a_payment_we_do_not_know_is_not_ours(purchase):
    told = replace(word(purchase, "needs_response"), gateway_payment_id="pi_unknown")

    assert record_dispute(account=default_account(), told=told, now=NOW) is None
    assert not Dispute.objects.exists()


def test_a_dispute_in_another_currency_is_refused_for_a_person_to_look_at(purchase):
    with pytest.raises(ValueError, match="USD"):
        tell(replace(word(purchase, "needs_response"), amount=Money(1820, "USD")))
    assert numbers(purchase) == (0, 0, 0, 0)


STORIES = [
    ["needs_response", "under_review", "won"],
    ["needs_response", "under_review", "lost"],
    ["warning_needs_response", "warning_under_review", "warning_closed"],
    ["warning_needs_response", "needs_response", "lost"],
    ["needs_response", "lost", "won"],
]


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
def test_any_order_and_any_repetition_of_words_ends_the_same(policy, data):
    story = data.draw(st.sampled_from(STORIES))
    gap = data.draw(st.sampled_from([1, 60]))
    purchase = make_purchase(lines=[EBOOK])
    words = [word(purchase, status, at=index * gap, name=f"dp_{purchase.pk}") for index, status in enumerate(story)]

    tell(*data.draw(st.permutations(words + words)))

    counts = story[-1] == "lost"
    assert Dispute.objects.get(gateway_dispute_id=f"dp_{purchase.pk}").status == story[-1]
    assert Dispute.objects.get(gateway_dispute_id=f"dp_{purchase.pk}").opened_at == NOW
    assert numbers(purchase) == (0, 0, 1820 if counts else 0, 0)
    assert booked(purchase) == ({"loss": 1820, "gateway_clearing": -1820} if counts else {})


class TestBeforeItIsADispute:
    """An inquiry and a fraud warning take nothing; a full refund settles them."""

    def test_an_inquiry_takes_nothing_and_proposes_a_full_refund(self, purchase):
        tell(word(purchase, "warning_needs_response"))

        assert numbers(purchase) == (0, 0, 0, 0) and not Event.objects.filter(kind="dispute_opened").exists()
        assert "full refund now settles it" in Alert.objects.get(kind="dispute_inquiry").why

    def test_an_inquiry_does_not_stop_a_refund(self, purchase, gateway):
        request = ask(purchase)
        tell(word(purchase, "warning_needs_response"))
        drive_refunds()

        assert only_refund(request).state == "succeeded"

    def test_a_warning_is_proposed_while_it_is_actionable(self, purchase):
        tell(warning(purchase))
        assert "fraud_warning" in kinds()

        tell(warning(purchase, actionable=False, at=5), warning(purchase))
        assert Dispute.objects.get().outcome == "closed"

    @pytest.mark.parametrize("make", [warning, lambda purchase: word(purchase, "warning_needs_response")])
    def test_the_refund_in_full_is_an_ordinary_request_that_never_says_fraud(self, policy, gateway, make):
        purchase = make_purchase(lines=[EBOOK, COURSE])
        tell(make(purchase))

        request = refund_in_full(dispute_id=Dispute.objects.get().pk, by=CLERK, reason="The bank asked.", now=NOW)
        drive_refunds()

        assert (request.state, request.decisions.last().actor_id) == ("approved", "clerk")
        assert only_refund(request).state == "succeeded"
        assert [(command.amount.minor, command.reason) for command in gateway.sent] == [(4807, "requested_by_customer")]

    def test_in_full_is_no_more_than_the_payment_still_has(self, purchase, gateway):
        payment = purchase.payments.get()
        name = gateway.refund_externally(payment.gateway_payment_id, Money(500, "EUR"))
        record_external(payment_id=payment.pk, answer=gateway.retrieve(name), told_at=NOW, now=NOW)
        tell(warning(purchase))

        refund_in_full(dispute_id=Dispute.objects.get().pk, by=CLERK, reason="Asked.", now=NOW)
        drive_refunds()

        assert numbers(purchase) == (0, 1820, 0, 0) and fine()

    def test_above_ones_limit_it_waits_in_the_queue(self, purchase):
        tell(warning(purchase))
        junior = replace(CLERK, limit_minor={"EUR": 100})

        with pytest.raises(NotAllowed):
            refund_in_full(dispute_id=Dispute.objects.get().pk, by=junior, reason="Asked.", now=NOW)

        assert purchase.refund_requests.get().state == "in_review"
        request = refund_in_full(dispute_id=Dispute.objects.get().pk, by=CLERK, reason="Fine.", now=NOW)
        assert request.state == "approved" and Refund.objects.count() == 1

    @pytest.mark.parametrize("is_sent", [False, True], ids=["on its way", "sent"])
    def test_pressed_a_second_time_it_says_so_and_pays_once(self, purchase, gateway, is_sent):
        tell(warning(purchase))
        dispute = Dispute.objects.get()
        first = refund_in_full(dispute_id=dispute.pk, by=CLERK, reason="Asked.", now=NOW)
        if is_sent:
            drive_refunds()

        with pytest.raises((WrongState, AlreadyRefunded)) as told:
            refund_in_full(dispute_id=dispute.pk, by=CLERK, reason="Asked again.", now=NOW)

        drive_refunds()
        assert str(told.value)
        assert list(purchase.refund_requests.all()) == [first] and only_refund(first).state == "succeeded"
        assert [command.amount.minor for command in gateway.sent] == [1820] and fine()

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"reason": ""}, Required),
            ({"dispute_id": 999999}, NotFound),
            ({"by": replace(CLERK, store_id=999999)}, NotFound),
            ({"by": replace(CLERK, actions=frozenset())}, NotAllowed),
            ({"by": Actor(kind=ActorKind.CUSTOMER, id="x")}, NotFound),
        ],
    )
    def test_who_may_not_is_refused_and_nothing_changed(self, purchase, changes, error):
        tell(warning(purchase))

        with pytest.raises(error):
            refund_in_full(**{"dispute_id": Dispute.objects.get().pk, "by": CLERK, "reason": "Asked.", "now": NOW, **changes})
        assert not purchase.refund_requests.exists()

    @pytest.mark.parametrize("end", ["needs_response", "warning_closed"])
    def test_once_it_is_closed_or_a_dispute_nothing_is_refunded(self, purchase, end):
        tell(word(purchase, "warning_needs_response"), word(purchase, end, at=1))

        with pytest.raises(WrongState):
            refund_in_full(dispute_id=Dispute.objects.get().pk, by=CLERK, reason="Asked.", now=NOW)
        assert not Refund.objects.exists()


def test_a_dispute_finds_the_payment_by_the_name_of_its_charge(policy):
    purchase = make_purchase(lines=[EBOOK])
    charge = purchase.payments.get().gateway_payment_id
    told = replace(word(purchase, "needs_response"), gateway_payment_id="pi_1", charge_id=charge)
    assert record_dispute(account=default_account(), told=told, now=NOW) is not None
    assert purchase.payments.get().disputed_minor == 1820
    assert record_dispute(account=default_account(), told=replace(told, charge_id="ch_other"), now=NOW) is None


def test_what_a_dispute_costs_is_booked_once_and_what_the_exchange_lost_when_it_is_won(policy):
    purchase = make_purchase(lines=[EBOOK])

    def tell(status, at, fee, moved):
        told = replace(word(purchase, status, at=at), fee=Money(fee, "USD"), moved=Money(moved, "USD"), came_back=status == "won")
        record_dispute(account=default_account(), told=told, now=NOW)
        assert verify().fine
        costs = LedgerEntry.objects.filter(account__in=["fee", "exchange"]).order_by("pk")
        return [(entry.account, entry.currency, entry.debit_minor - entry.credit_minor) for entry in costs]

    fee = ("fee", "USD", 1500)
    assert tell("needs_response", 1, 1500, -2000) == [fee]
    assert tell("under_review", 2, 1500, -2000) == [fee]
    assert tell("won", 3, 1500, -40) == [fee, ("exchange", "USD", 40)]
    assert tell("needs_response", 2, 0, -2000) == [fee, ("exchange", "USD", 40)], "an older word changes nothing"
    record_dispute(account=default_account(), told=word(purchase, "won", at=9), now=NOW)
    assert LedgerEntry.objects.filter(account="fee").count() == 1 and verify().fine


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0), (1, 0, 1)])
@pytest.mark.parametrize("gap", [0, 1], ids=["in one second", "a second later"])
def test_what_is_won_before_the_money_is_back_is_no_loss_of_the_exchange(policy, order, gap):
    purchase = make_purchase(lines=[EBOOK])
    went = {"fee": Money(1500, "USD"), "moved": Money(-2000, "USD")}
    won = replace(word(purchase, "won", at=3), **went)
    back = replace(word(purchase, "won", at=3 + gap), **{**went, "moved": Money(-40, "USD"), "came_back": True})
    tell(replace(word(purchase, "needs_response", at=1), **went))

    tell(*([won, back][index] for index in order))

    sums = {"fee": 0, "exchange": 0}
    for entry in LedgerEntry.objects.filter(account__in=sums):
        sums[entry.account] += entry.debit_minor - entry.credit_minor
    assert sums == {"fee": 1500, "exchange": 40} and fine()


def test_a_dispute_that_is_won_books_no_exchange_while_the_money_is_away(policy):
    purchase = make_purchase(lines=[EBOOK])
    tell(replace(word(purchase, "won"), fee=Money(1500, "USD"), moved=Money(-2000, "USD")))
    assert not LedgerEntry.objects.filter(account="exchange").exists() and fine()
