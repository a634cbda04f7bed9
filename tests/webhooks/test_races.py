"""Workers that apply at the same time, each with a connection of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.facts import WebhookDispute
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.disputes import record_dispute
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Alert, Dispute, Refund
from tests.factories import EBOOK, make_purchase
from tests.refunds.helpers import ask
from tests.refunds.test_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def dispute_of(purchase, name="dp_1"):
    return WebhookDispute(
        event_id="evt_1",
        event_type="charge.dispute.created",
        livemode=False,
        created=datetime(2026, 3, 10, tzinfo=UTC),
        dispute_id=name,
        gateway_payment_id=purchase.payments.get().gateway_payment_id,
        status="needs_response",
        amount=Money(1820, "EUR"),
        reason="fraudulent",
        is_inquiry=False,
        is_open=True,
        is_won=False,
        is_lost=False,
        evidence_due=None,
    )


def fine():
    report = verify()
    assert report.fine, report.differences
    return True


def test_a_refund_made_elsewhere_that_all_workers_hear_of_at_once_is_counted_once(gateway):
    purchase, account = make_purchase(lines=[EBOOK]), default_account()
    seen = Seen(
        gateway_payment_id=purchase.payments.get().gateway_payment_id,
        refund_id=None,
        installation="",
        answer=GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=Money(500, "EUR")),
        told_at=clock.now(),
    )

    assert at_once(lambda number: record_seen(account=account, seen=[seen], now=clock.now())) == [[True]] * 8

    assert Refund.objects.count() == Alert.objects.count() == 1
    assert purchase.payments.get().gone_minor == 500 and fine()


def test_a_dispute_that_all_workers_hear_of_at_once_is_counted_once(gateway):
    purchase, account = make_purchase(lines=[EBOOK]), default_account()

    at_once(lambda number: record_dispute(account=account, told=dispute_of(purchase), now=clock.now()))

    assert Dispute.objects.count() == 1
    assert purchase.payments.get().disputed_minor == 1820 and fine()


def test_a_dispute_that_opens_while_workers_send_cancels_or_flags_each_refund(gateway):
    purchases = [make_purchase(lines=[EBOOK]) for _n in range(6)]
    account = default_account()
    for purchase in purchases:
        ask(purchase)

    def work(number):
        if number < 2:
            return drive_refunds()
        return record_dispute(account=account, told=dispute_of(purchases[number - 2], f"dp_{number}"), now=clock.now())

    at_once(work)
    drive_refunds()

    sent = {command.refund_id for command in gateway.sent}
    for refund in Refund.objects.all():
        if refund.pk in sent:
            assert refund.state == "succeeded" and refund.payment.over_minor == 1820
        else:
            assert (refund.state, refund.failure_code) == ("canceled", "dispute") or refund.waits_for == "person"
    assert fine()
