"""Paying by hand: who may take a refund from the machine, what is recorded, and that nothing is paid twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.actor import SYSTEM, Action
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, Required, WrongState
from refund_plugin.events.models import Event
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.refunds.ledger.models import Account, LedgerEntry
from refund_plugin.refunds.manual.services import claim_by_hand, give_proof, look_at_refund, release_claim, report_bounced
from refund_plugin.refunds.models import Alert, Dispute, DisputeOutcome, Operation, Refund, RefundOrigin, WaitsFor
from refund_plugin.refunds.outcomes import ELSEWHERE, record_answer
from refund_plugin.refunds.retry import give_up_refund, retry_refund
from refund_plugin.refunds.states import RefundState
from tests.factories import NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, balances, only_refund

pytestmark = pytest.mark.django_db(transaction=True)

COLLEAGUE = replace(CLERK, id="colleague", label="Carl Colleague", actions=frozenset({Action.PAY_BY_HAND}))
PAID = {"method": "bank", "reference": "Transfer 4711", "paid_on": NOW.date()}


@pytest.fixture
def purchase(policy):
    return make_purchase()


@pytest.fixture
def refund(purchase):
    return only_refund(ask(purchase))


def claim(refund, by=CLERK):
    return claim_by_hand(refund_id=refund.pk, by=by, now=NOW)


def pay(refund, by=CLERK, **changes):
    return give_proof(refund_id=refund.pk, by=by, now=NOW, **{**PAID, **changes})


def state(refund):
    return Refund.objects.get(pk=refund.pk).state


def kinds():
    return list(Event.objects.order_by("pk").values_list("kind", flat=True))


def dispute_of(purchase, **changes):
    payment = purchase.payments.get()
    row = {"store": purchase.store, "account": payment.account, "livemode": False, "gateway_dispute_id": "dp_1", "kind": "formal"}
    row |= {"status": "x", "amount_minor": 1, "counted_minor": 1, "currency": "EUR", "opened_at": NOW, "told_at": NOW, **changes}
    return Dispute.objects.create(payment=payment, **row)


def account_of(account):
    entries = LedgerEntry.objects.filter(account=account)
    return sum(entry.credit_minor - entry.debit_minor for entry in entries)


@pytest.fixture
def failed(refund, gateway):
    gateway.script("pending")
    drive_refunds()
    sent = Refund.objects.get(pk=refund.pk)
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=sent.gateway_refund_id), now=NOW)
    assert state(refund) == RefundState.FAILED
    return Refund.objects.get(pk=refund.pk)


def test_a_claimed_refund_is_held_for_its_person_and_no_worker_sends_it(refund, purchase, gateway):
    claimed = claim(refund)

    drive_refunds()

    assert (claimed.state, claimed.claimed_by_label, claimed.claimed_at) == (RefundState.MANUAL_CLAIMED, "Clara Clerk", NOW)
    assert not gateway.sent and state(refund) == RefundState.MANUAL_CLAIMED
    assert balances(purchase) == ([(1820, 0)], [(1820, 0)])
    assert kinds()[-1] == "refund_manual_claimed"


@pytest.mark.parametrize(("method", "account"), [("bank", Account.BANK), ("other", Account.BANK), ("store_credit", Account.STORE_CREDIT)])
def test_the_proof_ends_the_debt_in_the_books_of_its_method(refund, purchase, gateway, method, account):
    claim(refund)

    paid = pay(refund, method=method, note="  Agreed on the phone. ")

    drive_refunds()
    assert paid.state == RefundState.MANUAL_PAID and paid.settled_at == NOW and not gateway.sent
    assert paid.proof == {
        "method": method,
        "reference": "Transfer 4711",
        "paid_on": "2026-03-09",
        "note": "Agreed on the phone.",
        "by": "clerk",
        "by_label": "Clara Clerk",
    }
    assert balances(purchase) == ([(0, 1820)], [(0, 1820)])
    assert (account_of(account), account_of(Account.CUSTOMER_PAYABLE)) == (1820, 0)
    assert kinds()[-1] == "refund_manual_paid"


def test_a_released_refund_is_sent_by_the_machine(refund, gateway):
    claim(refund)

    released = release_claim(refund_id=refund.pk, by=CLERK, now=NOW)
    drive_refunds()

    assert (released.claimed_by_id, released.claimed_by_label, released.claimed_at) == ("", "", None)
    assert state(refund) == RefundState.SUCCEEDED and len(gateway.sent) == 1
    assert "refund_released" in kinds()


def test_a_payment_that_bounced_is_owed_again_and_may_be_sent_anew(refund, purchase, gateway):
    pay(claim(refund))

    bounced = report_bounced(refund_id=refund.pk, by=CLERK, reason="No such account.", now=NOW)

    assert (bounced.state, bounced.failure_code, bounced.failure_message) == (RefundState.FAILED, "bounced", "No such account.")
    assert (account_of(Account.BANK), account_of(Account.CUSTOMER_PAYABLE)) == (0, 1820)
    retry_refund(refund_id=refund.pk, by=CLERK, reason="Card works again.", now=NOW)
    drive_refunds()
    assert balances(purchase) == ([(0, 1820)], [(0, 1820)]) and len(gateway.sent) == 1


def test_a_failed_refund_gets_a_successor_that_is_claimed_at_once(failed, purchase, gateway):
    claimed = claim(failed)
    drive_refunds()

    assert claimed.supersedes_id == failed.pk and claimed.origin == RefundOrigin.STAFF
    assert state(claimed) == RefundState.MANUAL_CLAIMED and len(gateway.sent) == 1
    assert balances(purchase) == ([(1820, 0)], [(1820, 0)])
    pay(claimed)
    assert (account_of(Account.BANK), account_of(Account.CUSTOMER_PAYABLE)) == (1820, 0)


def test_a_failed_refund_that_was_given_up_is_not_paid(failed):
    give_up_refund(refund_id=failed.pk, by=CLERK, reason="She does not want it.", now=NOW)

    with pytest.raises(WrongState, match="not owed any more"):
        claim(failed)


def test_a_failed_refund_with_a_successor_is_not_paid(failed):
    retry_refund(refund_id=failed.pk, by=CLERK, reason="Again.", now=NOW)

    with pytest.raises(WrongState, match="not owed any more"):
        claim(failed)


@pytest.mark.parametrize("misbehaviour", ["timeout_after_commit", "pending"])
def test_what_was_sent_is_not_paid_by_hand(refund, gateway, misbehaviour):
    gateway.script(misbehaviour)
    drive_refunds()
    before = state(refund)
    assert before in (RefundState.UNKNOWN, RefundState.PENDING)

    with pytest.raises(WrongState, match="already asked to pay it"):
        claim(refund)

    assert state(refund) == before


def test_what_the_machine_surely_tried_in_vain_may_be_paid_by_hand_and_is_never_sent_then(refund, gateway):
    gateway.script("refused_connection")
    drive_refunds()
    assert state(refund) == RefundState.RESERVED

    pay(claim(refund))
    with clock.travel(timedelta(days=1)):
        drive_refunds()

    assert state(refund) == RefundState.MANUAL_PAID and not gateway.sent


def test_what_may_have_been_sent_is_not_paid_by_hand_after_a_refused_connection(refund, gateway):
    gateway.script("timeout_before_commit", "refused_connection")
    drive_refunds()
    with clock.travel(timedelta(minutes=5)):
        drive_refunds()

    with pytest.raises(WrongState, match="after its “no” you can pay by hand"):
        claim(refund)


def test_what_was_paid_is_not_paid_again(refund, gateway):
    drive_refunds()

    with pytest.raises(WrongState, match="was paid"):
        claim(refund)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"list_first": True}, "restored from a backup"),
        ({"waits_for": WaitsFor.SUBSCRIPTION}, "end of the subscription"),
        ({"waits_for": WaitsFor.PERSON, "needs_person": ELSEWHERE}, "Look at it first"),
        ({"operation": Operation.CANCEL_PAYMENT}, "never captured"),
        ({"lease_until": NOW}, "already asked"),
    ],
)
def test_what_must_not_be_paid_by_hand_is_refused_and_says_why(refund, changes, why):
    Refund.objects.filter(pk=refund.pk).update(**changes)

    with pytest.raises(WrongState, match=why):
        claim(refund)

    assert state(refund) == RefundState.RESERVED


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"over_minor": 100, "gone_minor": 100}, "More is gone"), ({"disputed_minor": 1, "captured_minor": 1821}, "disputes this payment")],
)
@pytest.mark.parametrize("which", ["refund", "failed"])
def test_a_payment_with_trouble_is_not_paid_by_hand(request, purchase, changes, why, which):
    refund = request.getfixturevalue(which)
    purchase.payments.update(**changes)
    dispute_of(purchase)

    with pytest.raises(WrongState, match=why):
        claim(refund)


def test_what_is_left_after_a_lost_dispute_may_be_paid_by_hand(refund, purchase):
    purchase.payments.update(disputed_minor=1, captured_minor=1821)
    dispute_of(purchase, outcome=DisputeOutcome.LOST)

    assert claim(refund).state == RefundState.MANUAL_CLAIMED


def test_only_one_claims(refund):
    claim(refund)

    with pytest.raises(WrongState, match="Clara Clerk pays this refund by hand"):
        claim(refund, by=COLLEAGUE)


@pytest.mark.parametrize(
    "act",
    [
        pay,
        lambda refund: release_claim(refund_id=refund.pk, by=CLERK, now=NOW),
        lambda refund: report_bounced(refund_id=refund.pk, by=CLERK, reason="Why.", now=NOW),
    ],
    ids=["proof", "release", "bounced"],
)
def test_what_nobody_claimed_cannot_be_proven_released_or_bounce(refund, act):
    with pytest.raises(WrongState):
        act(refund)

    assert state(refund) == RefundState.RESERVED


def test_the_proof_is_given_once(refund):
    pay(claim(refund))

    with pytest.raises(WrongState, match="was paid"):
        pay(refund, reference="Another")

    assert Refund.objects.get().proof["reference"] == "Transfer 4711"


def test_a_colleague_gives_no_proof_for_somebody_elses_claim_unless_they_may_approve(refund):
    claim(refund)

    with pytest.raises(NotAllowed, match="Clara Clerk pays this refund"):
        pay(refund, by=COLLEAGUE)
    with pytest.raises(NotAllowed):
        release_claim(refund_id=refund.pk, by=COLLEAGUE, now=NOW)
    assert state(refund) == RefundState.MANUAL_CLAIMED

    pay(refund, by=replace(COLLEAGUE, actions=frozenset({Action.PAY_BY_HAND, Action.APPROVE})))
    assert state(refund) == RefundState.MANUAL_PAID


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"method": "cash"}, InvalidInput, "method"),
        ({"reference": "  "}, Required, "reference"),
        ({"reference": "x" * 141}, InvalidInput, "reference"),
        ({"reference": "a\x00b"}, InvalidInput, "reference"),
        ({"note": "\ud800"}, InvalidInput, "note"),
        ({"note": "x" * 4001}, InvalidInput, "note"),
        ({"paid_on": NOW.date() + timedelta(days=2)}, InvalidInput, "paid_on"),
        ({"paid_on": NOW.date() - timedelta(days=400)}, InvalidInput, "paid_on"),
    ],
)
def test_a_proof_that_proves_nothing_is_refused_and_names_the_field(refund, changes, error, field):
    claim(refund)

    with pytest.raises(error) as told:
        pay(refund, **changes)

    assert told.value.field == field
    assert state(refund) == RefundState.MANUAL_CLAIMED


def test_where_the_day_has_begun_already_it_is_not_in_the_future(refund):
    claim(refund)

    pay(refund, paid_on=NOW.date() + timedelta(days=1))  # 13:02 UTC: 03:02 on the next day on Kiritimati

    assert state(refund) == RefundState.MANUAL_PAID


@pytest.mark.parametrize(
    ("by", "error"),
    [
        (replace(CLERK, actions=frozenset(Action) - {Action.PAY_BY_HAND}), NotAllowed),
        (replace(CLERK, limit_minor={"EUR": 1819}), NotAllowed),
        (replace(CLERK, email="ada@example.com"), NotAllowed),
        (replace(CLERK, store_id=10**9), NotFound),
    ],
    ids=["without the permission", "above the limit", "their own purchase", "another store"],
)
def test_who_may_not_pay_changes_nothing(refund, by, error):
    with pytest.raises(error):
        claim(refund, by=by)
    claim(refund)
    before = kinds()
    for act in (
        lambda: pay(refund, by=by),
        lambda: release_claim(refund_id=refund.pk, by=by, now=NOW),
        lambda: report_bounced(refund_id=refund.pk, by=by, reason="Why.", now=NOW),
    ):
        with pytest.raises(error):
            act()
    assert state(refund) == RefundState.MANUAL_CLAIMED and kinds() == before


def test_when_the_gateway_pays_what_a_person_has_paid_the_second_payment_counts_and_alerts(refund, purchase):
    pay(claim(refund))
    payment = purchase.payments.get()
    answer = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_late", amount=Money(1820, "EUR"))
    seen = Seen(gateway_payment_id=payment.gateway_payment_id, refund_id=refund.pk, installation="", answer=answer, told_at=NOW)

    record_seen(account=default_account(), seen=[seen, seen], now=NOW)

    twin = Refund.objects.get(gateway_refund_id="re_late")
    assert state(refund) == RefundState.MANUAL_PAID and twin.origin == RefundOrigin.EXTERNAL
    payment.refresh_from_db()
    assert (payment.gone_minor, payment.over_minor) == (3640, 1820)
    assert set(Alert.objects.values_list("kind", flat=True)) == {"refund_contradiction", "money_over"}


def test_when_the_gateway_pays_what_a_person_has_claimed_the_claim_ends_with_an_alert(refund):
    claim(refund)

    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1"), now=NOW)

    assert state(refund) == RefundState.SUCCEEDED and Alert.objects.get().kind == "refund_contradiction"
    with pytest.raises(WrongState, match="was paid"):
        pay(refund)


def flag(refund, why="the gateway names a second object", **changes):
    Refund.objects.filter(pk=refund.pk).update(needs_person=why, **changes)
    return raise_alert(kind="refund_contradiction", key="one", why=why, store_id=refund.store_id, refund=refund, now=NOW)


def test_looking_takes_the_flag_and_the_alerts_away_and_is_recorded(refund):
    flag(refund)

    look_at_refund(refund_id=refund.pk, by=CLERK, note="Looked it up; all is well.", now=NOW)

    refund.refresh_from_db()
    alert = Alert.objects.get()
    assert refund.needs_person == "" and alert.looked_by_label == "Clara Clerk" and alert.note == "Looked it up; all is well."
    assert Event.objects.get(kind="refund_looked_at").payload["why"] == "the gateway names a second object"
    with pytest.raises(WrongState, match="looked at this already"):
        look_at_refund(refund_id=refund.pk, by=CLERK, note="Again.", now=NOW)


def test_what_waited_for_a_person_is_sent_once_somebody_has_looked(refund, gateway):
    flag(refund, waits_for=WaitsFor.PERSON)
    drive_refunds()
    assert not gateway.sent

    look_at_refund(refund_id=refund.pk, by=CLERK, note="The dispute is won.", now=NOW)
    drive_refunds()

    assert state(refund) == RefundState.SUCCEEDED


def test_what_waited_for_a_person_may_be_paid_by_hand_once_somebody_has_looked(refund):
    flag(refund, why=ELSEWHERE, waits_for=WaitsFor.PERSON)
    with pytest.raises(WrongState, match="Look at it first"):
        claim(refund)

    look_at_refund(refund_id=refund.pk, by=CLERK, note="That was another line.", now=NOW)

    assert claim(refund).state == RefundState.MANUAL_CLAIMED


def test_looking_does_not_let_go_what_is_still_stopped(refund, purchase):
    flag(refund, waits_for=WaitsFor.PERSON)
    purchase.payments.update(gone_minor=100, over_minor=100)

    with pytest.raises(WrongState, match="More is gone"):
        look_at_refund(refund_id=refund.pk, by=CLERK, note="Hm.", now=NOW)

    refund.refresh_from_db()
    assert refund.waits_for == WaitsFor.PERSON and refund.needs_person and Alert.objects.get().looked_at is None


def test_looking_needs_the_permission_to_approve_and_words(refund):
    flag(refund)

    with pytest.raises(NotAllowed):
        look_at_refund(refund_id=refund.pk, by=COLLEAGUE, note="Why.", now=NOW)
    with pytest.raises(Required):
        look_at_refund(refund_id=refund.pk, by=CLERK, note=" ", now=NOW)
    refund.refresh_from_db()
    assert refund.needs_person


def test_a_refund_made_elsewhere_is_not_paid_by_hand(refund, purchase):
    Refund.objects.filter(pk=refund.pk).update(origin=RefundOrigin.EXTERNAL, request=None, decision=None)

    with pytest.raises(NotFound):
        claim(refund, by=SYSTEM)
