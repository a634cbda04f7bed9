"""The door for Saleor's asynchronous events: what verifies is kept once, everything else changes nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO

import pytest
from django.db import OperationalError
from django.http import HttpRequest

from refund_plugin.clock import now
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.saleor.errors import SaleorRateLimited, SaleorTokenInvalid, SaleorUnreachable
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor_app import webhooks
from refund_plugin.saleor_app.bodies import TooLarge, read_body
from refund_plugin.webhooks.models import WebhookEvent
from tests.saleor.app.conftest import APP, OTHER_API, OTHER_KEY, WELL, install, jwks, sign

pytestmark = pytest.mark.django_db

PAID = {"__typename": "OrderFullyPaid", "issuedAt": "2026-03-09T13:02:11.5+00:00", "order": {"id": "T3JkZXI6MQ=="}}
REMOVED = {"__typename": "AppDeleted", "issuedAt": "2026-03-09T13:02:11+00:00", "app": {"id": APP}}


def kept() -> list[tuple[str, str]]:
    return [(event.event_type, event.body["order"]) for event in WebhookEvent.objects.order_by("pk")]


def test_an_event_about_an_order_is_kept_with_the_orders_id_and_nothing_else(installation, send):
    assert send(PAID | {"order": {"id": "T3JkZXI6MQ==", "userEmail": "ada@example.org"}}).status_code == 200
    (event,) = WebhookEvent.objects.all()
    assert (event.account.slug, event.livemode, event.event_type) == ("shop-example", True, "order_fully_paid")
    assert event.told_at.isoformat() == "2026-03-09T13:02:11.500000+00:00"
    assert event.body == {
        "id": event.event_id,
        "type": "order_fully_paid",
        "created": "2026-03-09T13:02:11.500000+00:00",
        "livemode": True,
        "order": "T3JkZXI6MQ==",
    }


def test_the_same_delivery_again_is_one_row_and_another_event_of_the_order_is_a_second(installation, send):
    for body in (PAID, PAID, PAID | {"issuedAt": "2026-03-09T13:02:12+00:00"}, PAID):
        assert send(body).status_code == 200
    assert len(kept()) == 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("OrderConfirmed", "order_confirmed"),
        ("OrderPaid", "order_paid"),
        ("OrderFullyPaid", "order_fully_paid"),
        ("OrderUpdated", "order_updated"),
        ("OrderRefunded", "order_refunded"),
        ("OrderFullyRefunded", "order_fully_refunded"),
        ("OrderCancelled", "order_cancelled"),
    ],
)
def test_every_event_of_the_manifest_that_names_an_order_is_kept(installation, send, name, kind):
    send(PAID | {"__typename": name})
    assert kept() == [(kind, "T3JkZXI6MQ==")]


def test_a_changed_transaction_is_an_event_of_its_order(installation, send):
    told = {"__typename": "TransactionItemMetadataUpdated", "transaction": {"id": "VHI6MQ==", "order": {"id": "T3JkZXI6MQ=="}}}
    assert send(told).status_code == 200
    assert kept() == [("transaction_item_metadata_updated", "T3JkZXI6MQ==")]


def test_what_the_header_says_of_the_event_is_not_believed(installation, send):
    send(PAID, **{"Saleor-Event": "app_deleted"})
    assert kept() == [("order_fully_paid", "T3JkZXI6MQ==")]
    assert SaleorInstallation.objects.get().is_active


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{not json",
        b"\xff\xfe",
        b"[" * 100_000,
        {},
        {"__typename": "OrderTimeTravelled", "order": {"id": "T3JkZXI6MQ=="}},
        {"__typename": 7, "order": {"id": "T3JkZXI6MQ=="}},
        {"order": {"id": "T3JkZXI6MQ=="}},
        {"__typename": "OrderUpdated", "order": None},
        {"__typename": "OrderUpdated", "order": {"id": ["T3JkZXI6MQ=="]}},
        {"__typename": "OrderUpdated", "order": {"id": "x" * 256}},
        {"__typename": "TransactionItemMetadataUpdated", "transaction": {"id": "VHI6MQ==", "order": None}},
        {"__typename": "TransactionItemMetadataUpdated", "transaction": "VHI6MQ=="},
    ],
)
def test_what_is_empty_unknown_or_misshapen_is_answered_200_and_changes_nothing(installation, send, body):
    assert send(body).status_code == 200
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("moment", [None, 7, "yesterday", "2026-99-99T00:00:00+00:00", "2026-03-09T13:02:11"])
def test_an_event_without_a_usable_time_is_dated_by_its_arrival(installation, send, moment):
    before = now()
    assert send(PAID | {"issuedAt": moment}).status_code == 200
    assert before <= WebhookEvent.objects.get().told_at <= now()


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "nonsense",
        "a..b",
        sign(b"another body"),
        sign(b"", key=OTHER_KEY),
        sign(b"").replace("..", "."),
        sign(b"")[:-8],
        "x" * 20_000,
    ],
)
def test_a_wrong_signature_is_refused_alike_and_changes_nothing(installation, send, signature):
    answer = send(PAID, signature=signature)
    assert (answer.status_code, answer.json()) == (400, {"error": "WEBHOOK_REJECTED"})
    assert not WebhookEvent.objects.exists()


def test_algorithms_other_than_rs256_are_refused_also_when_the_public_key_is_taken_for_a_secret(installation, send):
    raw = json.dumps(PAID).encode()
    secret = installation.keys["keys"][0]["n"].encode()
    for signature in (
        sign(raw, key=secret, algorithm="HS256"),
        sign(raw, key="", algorithm="none"),
        sign(raw, algorithm="RS512"),
        sign(raw, algorithm="PS256"),
    ):
        assert send(raw, signature=signature).status_code == 400
    assert not WebhookEvent.objects.exists()


def test_another_instances_signature_does_not_count_here(installation, send):
    install(OTHER_API, slug="other", key=OTHER_KEY)
    raw = json.dumps(PAID).encode()
    assert send(raw, signature=sign(raw, key=OTHER_KEY)).status_code == 400
    assert not WebhookEvent.objects.exists()
    assert send(raw, signature=sign(raw, key=OTHER_KEY), api_url=OTHER_API).status_code == 200
    assert WebhookEvent.objects.get().account.slug == "other"


@pytest.mark.parametrize("address", ["", "https://unknown.example/graphql/", "not an address"])
def test_a_saleor_that_is_not_installed_is_answered_like_a_wrong_signature(installation, send, address):
    answer = send(PAID, api_url=address)
    assert (answer.status_code, answer.json()) == (400, {"error": "WEBHOOK_REJECTED"})


def test_a_rotated_key_is_asked_for_and_the_event_is_kept(installation, send, monkeypatch):
    SaleorInstallation.objects.update(keys_read_at=now() - timedelta(minutes=2))

    def read(row):
        row.keys = jwks(OTHER_KEY, kid="two")

    monkeypatch.setattr("refund_plugin.saleor.keys.read_keys", read)
    raw = json.dumps(PAID).encode()
    assert send(raw, signature=sign(raw, key=OTHER_KEY, kid="two")).status_code == 200
    assert len(kept()) == 1


def test_while_a_new_key_cannot_be_read_the_event_is_asked_for_again(installation, send):
    raw = json.dumps(PAID).encode()  # keys were read just now, so they are not asked for
    assert send(raw, signature=sign(raw, key=OTHER_KEY, kid="two")).status_code == 503
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("size", [webhooks.MAX_BODY_BYTES + 1, 10 * 1024 * 1024])
def test_a_body_that_is_too_large_is_refused_and_nothing_is_kept(installation, send, size):
    body = b'{"__typename":"OrderUpdated","order":{"id":"T3JkZXI6MQ=="},"x":"' + b"x" * size + b'"}'
    assert send(body).status_code == 413
    assert not WebhookEvent.objects.exists()


def test_a_wrong_length_in_the_header_is_no_crash(installation, client):
    for length in ("-1", "many", "1" * 30):
        answer = client.generic("POST", "/refunds/saleor/webhooks/", b"{}", content_type="application/json", CONTENT_LENGTH=length)
        assert 400 <= answer.status_code < 500


def test_while_the_database_does_not_answer_the_event_is_asked_for_again(installation, send, monkeypatch):
    def lost(**_):
        raise OperationalError

    monkeypatch.setattr(webhooks, "keep_event", lost)
    assert send(PAID).status_code == 503
    assert not WebhookEvent.objects.exists()


def test_only_a_post_is_heard(installation, client):
    assert client.get("/refunds/saleor/webhooks/").status_code == 405


@pytest.fixture
def removed(monkeypatch):
    """Let Saleor say whether it knows our token; it does not, unless the test says otherwise."""

    def says(answer):
        def read(client):
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr("refund_plugin.saleor_app.install.read_app", read)

    says(SaleorTokenInvalid("AppRead"))
    return says


def test_a_removal_that_saleor_itself_denies_was_made_up_by_another_app_and_changes_nothing(installation, send, removed):
    removed(WELL)
    assert send(REMOVED).status_code == 200
    assert SaleorInstallation.objects.values("is_active", "token_encrypted").get() == {
        "is_active": True,
        "token_encrypted": installation.token_encrypted,
    }
    assert not GatewayAccount.objects.get(slug="shop-example").on_hold


@pytest.mark.parametrize("error", [SaleorUnreachable("AppRead"), SaleorRateLimited("AppRead", 5)])
def test_a_removal_that_cannot_be_confirmed_now_is_asked_for_again(installation, send, removed, error):
    removed(error)
    assert send(REMOVED).status_code == 503
    assert SaleorInstallation.objects.get().is_active


def test_the_removed_app_loses_its_token_and_its_account_is_held_while_store_and_events_stay(installation, send, removed):
    send(PAID)
    assert send(REMOVED).status_code == 200
    row = SaleorInstallation.objects.get()
    assert (row.is_active, row.token_encrypted) == (False, "")
    assert row.removed_at is not None
    account = GatewayAccount.objects.get(slug="shop-example")
    assert (account.on_hold, account.hold_reason) == (True, "the App was removed in Saleor")
    assert len(kept()) == 1
    assert send(PAID | {"issuedAt": "2026-03-10T00:00:00+00:00"}).status_code == 400
    assert len(kept()) == 1


@pytest.mark.parametrize("app", [{"id": "QXBwOjk5"}, {"id": ""}, {}, None, "QXBwOjE="])
def test_the_removal_of_another_app_or_of_an_earlier_installation_changes_nothing(installation, send, removed, app):
    assert send(REMOVED | {"app": app}).status_code == 200
    row = SaleorInstallation.objects.get()
    assert row.is_active
    assert row.token_encrypted == installation.token_encrypted
    assert not GatewayAccount.objects.get(slug="shop-example").on_hold


def test_a_body_whose_length_nobody_told_is_not_read_beyond_the_limit():
    request = HttpRequest()  # as an ASGI server hands over a chunked one
    stream = request._stream = BytesIO(b"x" * 100)
    with pytest.raises(TooLarge):
        read_body(request, most_bytes=10)
    assert stream.tell() == 11
    request._stream = BytesIO(b"x" * 10)
    assert read_body(request, most_bytes=10) == b"x" * 10
