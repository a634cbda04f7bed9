import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from django.test import Client

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.webhooks.apply import apply_waiting
from refund_plugin.webhooks.models import WebhookEvent
from refund_plugin.webhooks.stripe import MAX_BODY_BYTES
from tests.factories import EBOOK, make_purchase, publish_policy
from tests.refunds.helpers import ask

PATH = "/refunds/webhooks/stripe/till/"
SECRET = "whsec_tests"


def account_options(**changes):
    return {
        "kind": "stripe",
        "api_key": "sk_test_tests",
        "api_base": "http://127.0.0.1:9",
        "webhook_secret": SECRET,
        "account": "",
        **changes,
    }


@pytest.fixture
def refund(db, settings) -> Refund:
    """A refund of 18.20 EUR that is reserved and was not sent yet."""
    settings.REFUND_PLUGIN = {"GATEWAYS": {"till": account_options(), "other": account_options(webhook_secret="whsec_other")}}
    ensure_accounts()
    publish_policy()
    return ask(make_purchase(lines=[EBOOK])).refunds.get()


def event_about(refund, status="succeeded", *, event_id="evt_1", at=None, event_type="refund.updated", **changes):
    told = {
        "id": "re_1",
        "object": "refund",
        "amount": refund.amount_minor,
        "currency": "eur",
        "status": status,
        "payment_intent": refund.payment.gateway_payment_id,
        "metadata": {"refund_id": str(refund.pk)},
        **changes,
    }
    created = int((at or clock.now()).timestamp())
    return {"id": event_id, "object": "event", "type": event_type, "livemode": False, "created": created, "data": {"object": told}}


def deliver(event, *, path=PATH, secret=SECRET, signed_at=None, client=None):
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    moment = int((signed_at or clock.now()).timestamp())
    signature = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return (client or Client()).post(
        path, body, content_type="application/json", headers={"Stripe-Signature": f"t={moment},v1={signature}"}
    )


def state(refund):
    apply_waiting()
    refund.refresh_from_db()
    return refund.state


def balance(refund):
    payment = Payment.objects.get(pk=refund.payment_id)
    return payment.held_minor, payment.gone_minor


def test_a_webhook_that_overtakes_the_api_settles_the_refund(refund):
    response = deliver(event_about(refund))

    assert (response.status_code, response.json()) == (200, {"received": True})
    assert state(refund) == "succeeded"
    assert balance(refund) == (0, 1820)
    event = WebhookEvent.objects.get()
    assert (event.event_id, event.event_type, event.account.slug) == ("evt_1", "refund.updated", "till")
    assert (event.state, event.applied_at is not None) == ("done", True)
    assert event.body["data"]["object"]["id"] == "re_1"


def test_what_names_the_customer_is_not_kept(refund):
    event = event_about(refund, instructions_email="ottilie@example.com", next_action={"type": "display_details", "to": "Ottilie"})

    assert deliver({**event, "request": {"id": "req_1"}, "account_holder": "Ottilie"}).status_code == 200

    apply_waiting()
    kept = WebhookEvent.objects.get().body
    assert "ottilie" not in json.dumps(kept).lower()
    assert {name: kept[name] for name in ("id", "type", "livemode", "created")} == {
        name: event[name] for name in ("id", "type", "livemode", "created")
    }
    assert kept["data"]["object"]["status"] == "succeeded"


def test_the_same_event_delivered_again_is_stored_and_applied_once(refund):
    event = event_about(refund)
    for _delivery in range(3):
        assert deliver(event).status_code == 200
        apply_waiting()

    assert WebhookEvent.objects.count() == 1
    assert balance(refund) == (0, 1820)


def test_the_door_stores_and_answers_and_touches_no_money(refund, django_assert_max_num_queries):
    event = event_about(refund)
    with django_assert_max_num_queries(4):  # the account, and the event in a transaction of its own
        assert deliver(event).status_code == 200

    refund.refresh_from_db()
    assert refund.state == "reserved"
    assert WebhookEvent.objects.get().state == "waiting"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1), (2, 0, 1), (1, 0, 2)])
def test_events_in_any_order_end_in_the_last_state_the_gateway_told(refund, order):
    start = clock.now() - timedelta(minutes=3)
    story = [
        event_about(refund, "pending", event_id="evt_1", at=start, event_type="refund.created"),
        event_about(refund, "succeeded", event_id="evt_2", at=start + timedelta(minutes=1)),
        event_about(refund, "failed", event_id="evt_3", at=start + timedelta(minutes=2), event_type="refund.failed"),
    ]
    for index in order:
        assert deliver(story[index]).status_code == 200
        apply_waiting()

    assert state(refund) == "failed"
    assert balance(refund) == (0, 0)
    assert WebhookEvent.objects.filter(state="done").count() == 3


def test_a_success_told_after_a_failure_that_was_about_another_object_is_believed(refund):
    record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=AnswerKind.FAILED, code="declined"), now=clock.now())

    deliver(event_about(refund, at=clock.now() - timedelta(seconds=30)))

    assert state(refund) == "succeeded"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"secret": "whsec_wrong"}, PATH),
        ({"secret": "whsec_other"}, PATH),
        ({"secret": ""}, PATH),
        ({"signed_at": -400}, PATH),
        ({"signed_at": 400}, PATH),
        ({}, "/refunds/webhooks/stripe/unknown/"),
    ],
)
def test_what_does_not_verify_gets_one_answer_and_changes_nothing(refund, arguments, path):
    if "signed_at" in arguments:
        arguments = {"signed_at": clock.now() + timedelta(seconds=arguments["signed_at"])}

    response = deliver(event_about(refund), path=path, **arguments)

    assert (response.status_code, response.json()) == (400, {"error": "WEBHOOK_REJECTED"})
    assert state(refund) == "reserved"
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b"\xff\xfe"])
def test_an_unsigned_body_is_refused(refund, body):
    assert Client().post(PATH, body, content_type="application/json").status_code == 400
    assert not WebhookEvent.objects.exists()


def test_an_account_without_a_secret_takes_no_webhook_even_when_signed_with_nothing(refund, settings):
    settings.REFUND_PLUGIN = {"GATEWAYS": {"till": account_options(webhook_secret="")}}

    assert deliver(event_about(refund), secret="").status_code == 400
    assert state(refund) == "reserved"


def test_another_account_cannot_speak_about_a_refund(refund):
    response = deliver(event_about(refund), path="/refunds/webhooks/stripe/other/", secret="whsec_other")

    assert response.status_code == 200
    assert state(refund) == "reserved"


def test_an_event_about_a_payment_we_do_not_know_is_kept_and_changes_nothing(refund):
    assert deliver(event_about(refund, payment_intent="pi_another")).status_code == 200

    assert state(refund) == "reserved"
    assert WebhookEvent.objects.get().state == "foreign"


def test_an_event_of_the_other_mode_changes_nothing(refund):
    assert deliver({**event_about(refund), "livemode": True}).status_code == 200

    assert state(refund) == "reserved"
    assert not WebhookEvent.objects.exists()


def test_an_event_type_we_do_not_use_is_acknowledged(refund):
    assert deliver({**event_about(refund), "type": "charge.refunded"}).status_code == 200
    assert not WebhookEvent.objects.exists()


def test_a_body_that_is_too_large_is_refused(refund):
    event = event_about(refund, padding="x" * MAX_BODY_BYTES)

    assert deliver(event).status_code == 413
    assert state(refund) == "reserved"


def test_the_door_needs_no_session_and_answers_post_only(refund):
    assert deliver(event_about(refund), client=Client(enforce_csrf_checks=True)).status_code == 200
    assert Client().get(PATH).status_code == 405


def test_a_misconfigured_account_refuses_its_webhooks(refund, settings):
    settings.REFUND_PLUGIN = {"GATEWAYS": {"till": account_options(api_key="sk_live_wrong")}}
    GatewayAccount.objects.filter(slug="till").update(livemode=False)

    assert deliver(event_about(refund)).status_code == 400
    assert state(refund) == "reserved"
