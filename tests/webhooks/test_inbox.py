"""Events wait in rows until a worker applies them: once, oldest first, and one that fails delays only itself."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from django.test import Client

from refund_plugin import clock, duties
from refund_plugin.events import doorbell
from refund_plugin.gateways.facts import WebhookDispute, WebhookRefund, WebhookSale
from refund_plugin.gateways.services import default_account, ensure_accounts
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.models import Alert, Dispute, Refund
from refund_plugin.refunds.sweep import sweep_once
from refund_plugin.webhooks import apply, handlers
from refund_plugin.webhooks.apply import MAX_FAILURES, apply_found, apply_waiting
from refund_plugin.webhooks.handlers import Handled, register_handler
from refund_plugin.webhooks.models import WebhookEvent
from refund_plugin.webhooks.services import APPLY
from tests.factories import EBOOK, make_purchase, publish_policy
from tests.refunds.helpers import ask

SECRET = "whsec_tests"


@pytest.fixture
def purchase(db, settings):
    account = {"kind": "stripe", "api_key": "sk_test_tests", "api_base": "http://127.0.0.1:9", "webhook_secret": SECRET}
    settings.REFUND_PLUGIN = {"GATEWAYS": {"till": account}}
    ensure_accounts()
    publish_policy()
    return make_purchase(lines=[EBOOK])


@pytest.fixture
def registry(monkeypatch):
    """Handlers that a test registers are gone after it."""
    monkeypatch.setattr(handlers, "_handlers", dict(handlers._handlers))


def deliver(about, *, event_id, event_type="refund.updated", at=0):
    event = {
        "id": event_id,
        "object": "event",
        "type": event_type,
        "livemode": False,
        "created": int(clock.now().timestamp()) + at,
        "data": {"object": about},
    }
    body, moment = json.dumps(event).encode(), int(clock.now().timestamp())
    signature = hmac.new(SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={moment},v1={signature}"}
    response = Client().post("/refunds/webhooks/stripe/till/", body, content_type="application/json", headers=headers)
    assert response.status_code == 200


def refund_object(purchase, *, name="re_1", status="succeeded", **changes):
    return {
        "id": name,
        "object": "refund",
        "amount": 500,
        "currency": "eur",
        "status": status,
        "payment_intent": purchase.payments.get().gateway_payment_id,
        "metadata": {},
        **changes,
    }


def dispute_object(purchase, status):
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": 1820,
        "currency": "eur",
        "status": status,
        "reason": "fraudulent",
        "payment_intent": purchase.payments.get().gateway_payment_id,
        "evidence_details": {"due_by": 1800000000},
    }


def broken(account, fact, now):
    raise ConnectionError("the network is down, and this text is longer than needed")


def test_events_are_applied_oldest_first_whatever_order_they_came_in(purchase, registry):
    seen = []
    register_handler(WebhookDispute, lambda account, fact, now: seen.append(fact.status) or Handled.DONE)
    deliver(dispute_object(purchase, "won"), event_id="evt_3", event_type="charge.dispute.closed", at=-1)
    deliver(dispute_object(purchase, "needs_response"), event_id="evt_1", event_type="charge.dispute.created", at=-60)
    deliver(dispute_object(purchase, "under_review"), event_id="evt_2", event_type="charge.dispute.updated", at=-30)

    assert apply_waiting() == 3
    assert seen == ["needs_response", "under_review", "won"]
    assert apply_waiting() == 0


def test_the_door_rings_for_a_worker_once_and_only_for_what_is_new(purchase, monkeypatch, django_capture_on_commit_callbacks):
    rung = []
    monkeypatch.setattr(doorbell, "send", lambda task: rung.append(task) or True)
    for _time in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            deliver(refund_object(purchase), event_id="evt_1")

    assert rung == [APPLY]


def test_one_event_that_fails_does_not_stop_the_others(purchase, registry):
    register_handler(WebhookDispute, broken)
    deliver(dispute_object(purchase, "needs_response"), event_id="evt_1", event_type="charge.dispute.created", at=-60)
    deliver(refund_object(purchase), event_id="evt_2")

    apply_waiting()

    failed, done = WebhookEvent.objects.order_by("event_id")
    assert (failed.state, failed.failures, failed.applied_at) == ("waiting", 1, None)
    assert failed.last_error.startswith("ConnectionError: the network is down") and failed.due_at > clock.database_now()
    assert (done.state, Refund.objects.get().origin) == ("done", "external")


def test_events_about_refunds_of_which_one_fails_are_applied_one_by_one(purchase, monkeypatch):
    from refund_plugin.webhooks import facts

    real = facts.record_seen

    def picky(*, account, seen, now):
        if any(item.answer.gateway_refund_id == "re_bad" for item in seen):
            raise ConnectionError("no")
        return real(account=account, seen=seen, now=now)

    monkeypatch.setattr(facts, "record_seen", picky)
    monkeypatch.setattr(apply, "record_seen", picky)
    for name in ("re_1", "re_bad", "re_2"):
        deliver(refund_object(purchase, name=name), event_id=f"evt_{name}")

    apply_waiting()

    assert set(Refund.objects.values_list("gateway_refund_id", flat=True)) == {"re_1", "re_2"}
    assert set(WebhookEvent.objects.values_list("event_id", "state")) == {
        ("evt_re_1", "done"),
        ("evt_re_bad", "waiting"),
        ("evt_re_2", "done"),
    }


def test_after_too_many_failures_an_event_is_parked_with_an_alert_and_sending_it_again_revives_it(purchase, registry):
    works = handlers.handler_of(WebhookDispute)
    register_handler(WebhookDispute, broken)
    about = dispute_object(purchase, "needs_response") | {"evidence": {"customer_name": "Ottilie"}}
    deliver(about, event_id="evt_1", event_type="charge.dispute.created")
    for _failure in range(MAX_FAILURES):
        WebhookEvent.objects.update(due_at=clock.database_now())
        apply_waiting()

    assert WebhookEvent.objects.get().state == "parked" and "Ottilie" not in json.dumps(WebhookEvent.objects.get().body)
    assert (Alert.objects.get().kind, Alert.objects.get().account) == ("webhook_parked", default_account())
    WebhookEvent.objects.update(due_at=clock.database_now())
    assert apply_waiting() == 0

    register_handler(WebhookDispute, works)
    deliver(about, event_id="evt_1", event_type="charge.dispute.created")
    apply_waiting()
    assert WebhookEvent.objects.get().state == "done" and Dispute.objects.exists()


def test_a_parked_event_of_an_account_that_is_no_longer_configured_keeps_its_head_only(purchase, settings):
    about = dispute_object(purchase, "needs_response") | {"evidence": {"customer_email_address": "ottilie@example.com"}}
    deliver(about, event_id="evt_1", event_type="charge.dispute.created")
    [gateway] = settings.REFUND_PLUGIN["GATEWAYS"].values()
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "GATEWAYS": {"another": gateway}}
    for _failure in range(MAX_FAILURES):
        WebhookEvent.objects.update(due_at=clock.database_now())
        apply_waiting()

    event = WebhookEvent.objects.get()
    assert (event.state, sorted(event.body)) == ("parked", ["created", "id", "livemode", "type"])


def test_an_event_that_a_dead_worker_held_is_applied_once_its_lease_is_over(purchase):
    deliver(refund_object(purchase), event_id="evt_1")
    assert len(apply._claim()) == 1  # and then the worker dies
    assert apply_waiting() == 0

    with clock.travel(timedelta(seconds=apply.LEASE_SECONDS + 1)):
        assert apply_waiting() == 1
    assert Refund.objects.count() == 1


def test_an_event_that_two_workers_apply_counts_once(purchase):
    deliver(refund_object(purchase), event_id="evt_1")
    claimed = apply._claim()

    for _worker in range(2):
        apply._apply(claimed, clock.now())

    assert Refund.objects.count() == 1 and purchase.payments.get().gone_minor == 500


def test_the_body_is_whole_until_it_is_applied_and_then_without_personal_data(purchase):
    deliver(refund_object(purchase, instructions_email="ottilie@example.com"), event_id="evt_1")
    assert "ottilie" in json.dumps(WebhookEvent.objects.get().body)

    apply_waiting()

    assert "ottilie" not in json.dumps(WebhookEvent.objects.get().body)


def test_an_event_whose_payment_becomes_known_later_is_applied_then(purchase):
    payment = purchase.payments.get()
    Payment.objects.update(gateway_payment_id="pi_recorded_later")
    deliver(refund_object(purchase, payment_intent=payment.gateway_payment_id), event_id="evt_1")
    apply_waiting()
    assert (WebhookEvent.objects.get().state, apply_found(clock.now())) == ("foreign", 0)

    Payment.objects.update(gateway_payment_id=payment.gateway_payment_id)
    assert apply_found(clock.now()) == 1
    apply_waiting()

    assert WebhookEvent.objects.get().state == "done" and Refund.objects.get().origin == "external"


def test_webhooks_of_refunds_that_tell_nothing_new_lock_nothing(purchase, django_assert_max_num_queries):
    for number in range(20):
        deliver(refund_object(purchase, name="re_1"), event_id=f"evt_{number}")
    apply_waiting()
    for number in range(20, 60):
        deliver(refund_object(purchase, name="re_1"), event_id=f"evt_{number}")

    # a claim, two reads for each word about the same refund, and one write; and a claim that finds nothing
    with django_assert_max_num_queries(100):
        assert apply_waiting() == 40
    assert Refund.objects.count() == 1


def test_a_fact_that_nobody_handles_is_acknowledged_and_not_kept(purchase, registry):
    handlers._handlers.pop(WebhookSale, None)
    deliver({"id": "in_1", "object": "invoice", "amount_paid": 100}, event_id="evt_1", event_type="invoice.paid")

    assert not WebhookEvent.objects.exists()


def test_a_room_above_plugs_in_its_own_handler(purchase, registry):
    seen = []
    register_handler(WebhookSale, lambda account, fact, now: seen.append((account.slug, fact.source_id, fact.kind)) or Handled.DONE)
    deliver({"id": "in_1", "object": "invoice", "amount_paid": 100}, event_id="evt_1", event_type="invoice.paid")
    apply_waiting()

    assert seen == [("till", "in_1", "invoice")]


def test_the_sweep_applies_what_nobody_rang_for(purchase):
    assert {"apply_webhooks", "find_webhooks"} <= {duty.name for duty in duties.duties()}
    deliver(refund_object(purchase), event_id="evt_1")

    sweep_once(clock.now())

    assert WebhookEvent.objects.get().state == "done"


@pytest.mark.parametrize("status", ["needs_response", "warning_needs_response"])
def test_a_dispute_told_by_webhook_stops_what_was_not_sent_unless_it_is_an_inquiry(purchase, status):
    refund = ask(purchase).refunds.get()
    deliver(dispute_object(purchase, status), event_id="evt_1", event_type="charge.dispute.created")
    apply_waiting()

    refund.refresh_from_db()
    assert refund.state == ("reserved" if status.startswith("warning") else "canceled")


def test_a_warning_and_a_capture_told_by_webhook_are_recorded(purchase):
    payment = purchase.payments.get()
    Payment.objects.update(is_captured=False)
    warning = {
        "id": "issfr_1",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "fraud_type": "misc",
        "payment_intent": payment.gateway_payment_id,
    }
    intent = {
        "id": payment.gateway_payment_id,
        "object": "payment_intent",
        "status": "succeeded",
        "amount_received": 1500,
        "currency": "eur",
    }
    deliver(warning, event_id="evt_1", event_type="radar.early_fraud_warning.created")
    deliver(intent, event_id="evt_2", event_type="payment_intent.succeeded")
    apply_waiting()

    assert Dispute.objects.get().kind == "warning"
    assert (purchase.payments.get().captured_minor, purchase.payments.get().is_captured) == (1500, True)


def test_every_kind_of_fact_about_money_has_a_handler(db):
    assert handlers.handler_of(WebhookRefund) is not None and handlers.handler_of(WebhookDispute) is not None
