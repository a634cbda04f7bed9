"""A person and the machine at the same moment: exactly one of them gets the refund."""

from __future__ import annotations

import pytest

from refund_plugin.actor import Action, Actor, ActorKind
from refund_plugin.errors import WrongState
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.manual.services import claim_by_hand, release_claim
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.states import RefundState
from tests.factories import NOW, make_purchase
from tests.refunds.helpers import ask, only_refund
from tests.refunds.test_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def person(number):
    return Actor(kind=ActorKind.STAFF, id=f"person-{number}", actions=frozenset(Action), label=f"Person {number}")


def test_a_worker_and_a_person_racing_for_refunds_never_both_get_one(policy, gateway):
    refunds = [only_refund(ask(make_purchase())) for _number in range(12)]

    def work(number):
        if number % 2:
            return drive_refunds()
        won = set()
        for refund in refunds if number % 4 else reversed(refunds):
            try:
                won.add(claim_by_hand(refund_id=refund.pk, by=person(number), now=NOW).pk)
            except WrongState:
                continue
        return won

    results = at_once(work, clients=4)
    drive_refunds()

    claimed = [pk for result in results if isinstance(result, set) for pk in result]
    sent = [command.refund_id for command in gateway.sent]
    assert len(claimed) == len(set(claimed)) and len(sent) == len(set(sent))
    assert not set(claimed) & set(sent)
    assert set(claimed) | set(sent) == {refund.pk for refund in refunds}
    for refund in Refund.objects.all():
        assert refund.state == (RefundState.MANUAL_CLAIMED if refund.pk in claimed else RefundState.SUCCEEDED)


def test_many_people_claim_a_failed_refund_and_one_successor_is_made(policy, gateway):
    refund = only_refund(ask(make_purchase()))
    answer = GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id="re_1", code="lost_or_stolen_card")
    record_answer(refund_id=refund.pk, answer=answer, now=NOW)

    results = at_once(lambda number: claim_by_hand(refund_id=refund.pk, by=person(number), now=NOW))

    assert sum(isinstance(result, Refund) for result in results) == 1
    assert sum(isinstance(result, WrongState) for result in results) == len(results) - 1
    assert Refund.objects.get(supersedes=refund).state == RefundState.MANUAL_CLAIMED


def test_releasing_while_workers_look_sends_it_once(policy, gateway):
    refund = only_refund(ask(make_purchase()))
    claim_by_hand(refund_id=refund.pk, by=person(0), now=NOW)

    at_once(lambda number: drive_refunds() if number else release_claim(refund_id=refund.pk, by=person(0), now=NOW), clients=4)
    drive_refunds()

    assert [command.refund_id for command in gateway.sent] == [refund.pk]
    assert Refund.objects.get().state == RefundState.SUCCEEDED
