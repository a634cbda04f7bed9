"""All workers keep one rate together, and leave a gateway alone that has fallen silent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.breaker import is_failure, note_answers, take_try
from refund_plugin.gateways.limiter import push_back, take_slots
from refund_plugin.gateways.models import GatewayAccount, SlotKind
from refund_plugin.gateways.services import default_account, gateway_for
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Attempt, Refund
from refund_plugin.refunds.states import RefundState
from tests.factories import MEMORY, make_purchase
from tests.refunds.helpers import ask, only_refund

pytestmark = pytest.mark.django_db

SILENCE = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer")
SUCCESS = GatewayAnswer(kind=AnswerKind.SUCCEEDED)


@pytest.fixture
def account(gateway) -> GatewayAccount:
    return default_account()


def test_instants_are_evenly_apart_over_all_who_ask(account):
    mine, theirs = take_slots(account, SlotKind.SEND, 3), take_slots(account, SlotKind.SEND, 2)
    assert mine == pytest.approx([0.0, 0.04, 0.08])
    assert theirs[1] - theirs[0] == pytest.approx(0.04)
    assert 0.0 < theirs[0] <= 0.12


def test_reading_does_not_take_from_sending(account):
    take_slots(account, SlotKind.READ, 100)
    assert take_slots(account, SlotKind.SEND, 1) == [0.0]


def test_a_pause_without_calls_saves_nothing_up(account):
    take_slots(account, SlotKind.SEND, 1)
    with clock.travel(timedelta(hours=1)):
        assert take_slots(account, SlotKind.SEND, 2) == pytest.approx([0.0, 0.04])


def test_without_a_limit_nobody_waits(account, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "RATE_PER_SECOND": 0}
    assert take_slots(account, SlotKind.SEND, 500) == [0.0] * 500


def test_who_is_told_to_wait_makes_everybody_wait(account):
    push_back(account, SlotKind.SEND, seconds=30)
    assert 29 < take_slots(account, SlotKind.SEND, 1)[0] <= 30


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (SILENCE, True),
        (GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="connection_failed"), True),
        (GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="api_error", raw={"http_status": 503}), True),
        (GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="api_error", raw={"http_status": 500}, idempotent_replayed=True), False),
        (GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="rate_limit"), False),
        (GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="http_401", hold=True), False),
        (GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="resource_missing", raw={"http_status": 404}), False),
        (SUCCESS, False),
        (None, False),
    ],
)
def test_only_silence_and_the_gateways_own_errors_speak_of_an_outage(answer, failure):
    assert is_failure(answer) is failure


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not(account):
    now = clock.database_now()
    note_answers(account, [SILENCE] * 7, now=now)
    note_answers(account, [SUCCESS], now=now)
    note_answers(account, [SILENCE] * 7, now=now)
    account.refresh_from_db()
    assert account.breaker_open_until is None
    note_answers(account, [SILENCE], now=now)
    account.refresh_from_db()
    assert account.breaker_open_until == now + timedelta(seconds=10)


def test_a_try_is_given_to_one_worker_only(account):
    now = clock.database_now()
    note_answers(account, [SILENCE] * 8, now=now)
    one, other = GatewayAccount.objects.get(pk=account.pk), GatewayAccount.objects.get(pk=account.pk)
    assert [take_try(one, now=now), take_try(other, now=now)] == [True, False]


def test_its_pause_grows_while_the_gateway_stays_silent_but_not_for_ever(account):
    pauses = []
    now = clock.database_now()
    note_answers(account, [SILENCE] * 8, now=now)
    for _time in range(4):
        account.refresh_from_db()
        pauses.append((account.breaker_open_until - now).total_seconds())
        now = account.breaker_open_until
        GatewayAccount.objects.update(breaker_open_until=now)
        note_answers(account, [SILENCE], now=now)
    assert pauses == [10, 20, 30, 30]


def test_during_an_outage_refunds_wait_and_the_first_answer_wakes_them_all(policy, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "RATE_PER_SECOND": 0, "CONCURRENT_CALLS": 1}
    gateway = gateway_for(default_account())  # other settings, another object
    requests = [ask(make_purchase()) for _number in range(12)]
    gateway.script(*["timeout_before_commit"] * 8)
    assert drive_refunds() == 8
    assert Refund.objects.filter(state=RefundState.RESERVED).count() == 4
    assert drive_refunds() == 0
    with clock.travel(timedelta(seconds=11)):
        assert drive_refunds() == 12
    purposes = list(Attempt.objects.order_by("pk").values_list("purpose", flat=True))
    assert purposes[:9] == ["send"] * 8 + ["replay"]  # what finds out is a refund whose outcome is unknown
    assert {only_refund(request).state for request in requests} == {RefundState.SUCCEEDED}
    assert len(gateway.sent) == 12
