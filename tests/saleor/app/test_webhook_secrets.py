"""Only our own webhooks are believed: Saleor sends a secret along with them, in every stage of being set, lost and changed."""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.views.debug import SafeExceptionReporterFilter

from refund_plugin import clock, documents, duties
from refund_plugin.saleor.api import read_webhooks
from refund_plugin.saleor.client import client_for
from refund_plugin.saleor.deliveries import GRACE, HEADER, new_secret, note_secret_set, own_secret
from refund_plugin.saleor.errors import SecretUnreadable
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import decrypt, is_newest
from refund_plugin.saleor_app import webhook_secrets
from refund_plugin.saleor_app.install import remove_installation
from refund_plugin.saleor_app.upkeep import look_after_installations
from refund_plugin.saleor_app.webhook_secrets import keep_webhook_secret, set_webhook_secrets
from refund_plugin.webhooks.models import WebhookEvent
from tests.saleor.conftest import MANIFEST, Installed
from tests.saleor.standin import Standin
from tests.saleor.standin.eavesdropping import Eavesdropper
from tests.saleor.standin.traps import Fault
from tests.saleor.standin.world import App, Webhook

pytestmark = pytest.mark.django_db

EVENTS_URL = "http://testserver/refunds/saleor/webhooks/"
NAME = "x-refunds-secret"
SET_ALL = ["AppWebhooks", "WebhookUpdate", "WebhookUpdate", "WebhookUpdate"]
REFUSED = (400, {"error": "WEBHOOK_REJECTED"})


def row() -> SaleorInstallation:
    return SaleorInstallation.objects.get()


def secret() -> str:
    return decrypt(row().webhook_secret_encrypted)


def carried(app: App) -> list[str | None]:
    return [webhook.custom_headers.get(NAME) for webhook in app.webhooks]


def later() -> AbstractContextManager[Any]:
    """When whatever was on its way has arrived."""
    return clock.travel(GRACE + timedelta(seconds=1))


def heard() -> int:
    return WebhookEvent.objects.count()


def tell(saleor: Standin) -> int:
    """Let Saleor tell us of one more order; return how many of its deliveries were refused."""
    before = len(saleor.post.sent)
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00"}]))
    saleor.work()
    to_us = [delivery for delivery in saleor.post.sent[before:] if delivery.webhook.target_url == EVENTS_URL]
    assert to_us
    return sum(delivery.state == "FAILED" for delivery in to_us)


@pytest.fixture
def sealed(saleor: Standin, installed: Installed) -> Installed:
    """Our App, with a secret on each of its webhooks."""
    assert set_webhook_secrets(clock.now()) == 1
    saleor.calls.clear()
    return installed


@pytest.fixture
def evil(saleor: Standin) -> Eavesdropper:
    """Another App, whose subscription is the same as ours."""
    query = documents.document("saleor/subscriptions/OrderEvents")
    return Eavesdropper.installed(saleor, query=query, events=["ORDER_UPDATED"], permissions=["MANAGE_ORDERS"])


def test_soon_after_an_installation_every_webhook_carries_the_secret_and_that_costs_one_call_each(saleor, installed):
    assert (carried(installed.app), row().webhook_secret_set_at) == ([None] * 3, None)
    saleor.calls.clear()
    assert set_webhook_secrets(clock.now()) == 1
    assert saleor.calls == SET_ALL
    assert carried(installed.app) == [secret()] * 3
    assert len(secret()) >= 43  # 256 bits
    assert set_webhook_secrets(clock.now()) == 0
    assert saleor.calls == SET_ALL
    saleor.calls.clear()
    assert look_after_installations(clock.now()) == 1
    assert saleor.calls == ["AppRead", "AppWebhooks"]


def test_what_another_app_lets_saleor_sign_is_taken_for_ours_before_and_refused_after(saleor, installed, evil):
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00"}]))
    assert evil.replay(EVENTS_URL).status == 200
    assert heard() == 1
    set_webhook_secrets(clock.now())
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00"}]))
    with later():
        answer = evil.replay(EVENTS_URL)
    assert (answer.status, json.loads(answer.body)) == REFUSED
    assert heard() == 1
    assert row().is_active


@pytest.mark.parametrize("guess", ["", "guessed", "ü", "x" * 100_000, "\x00"])
def test_a_wrong_secret_is_answered_like_a_wrong_signature_and_changes_nothing(saleor, sealed, evil, guess):
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00"}]))
    with later():
        answer = evil.replay(EVENTS_URL, **{NAME: guess})
        unsigned = evil.replay(EVENTS_URL, **{NAME: secret(), "Saleor-Signature": "a..b"})
        empty = evil.replay(EVENTS_URL, **{NAME: secret()[:-1]})
    assert {(each.status, each.body) for each in (answer, unsigned, empty)} == {(400, b'{"error": "WEBHOOK_REJECTED"}')}
    assert heard() == 0


def test_our_own_events_are_heard_in_every_stage(saleor, installed):
    assert tell(saleor) == 0
    saleor.traps.add(Fault("500", operation="WebhookUpdate", skip=1, times=2))
    assert set_webhook_secrets(clock.now()) == 0  # one webhook has it, two do not
    assert tell(saleor) == 0
    assert set_webhook_secrets(clock.now()) == 0
    assert set_webhook_secrets(clock.now()) == 1
    assert tell(saleor) == 0
    with later():
        assert tell(saleor) == 0
    assert heard() == 4


def test_what_was_on_its_way_when_the_secret_was_set_is_still_heard(saleor, installed):
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00"}]))
    (delivery,) = (each for each in saleor.post.queue if each.webhook.app is installed.app)
    bare = saleor.post.headers(delivery, delivery.body)
    set_webhook_secrets(clock.now())
    with clock.travel(GRACE - timedelta(seconds=5)):
        assert saleor.post.transport.post(EVENTS_URL, delivery.body, bare).status == 200
    with later():
        assert saleor.post.transport.post(EVENTS_URL, delivery.body, bare).status == 400
        # Saleor reads a webhook's headers when it sends, so what only waited in its queue comes with the secret
        saleor.work()
    assert (delivery.state, heard()) == ("SUCCESS", 1)


def test_broken_off_half_way_it_goes_on_with_the_same_secret_and_asks_for_it_only_when_all_have_it(saleor, installed):
    saleor.traps.add(Fault("500", operation="WebhookUpdate", skip=1))
    assert set_webhook_secrets(clock.now()) == 0
    first = secret()
    assert (carried(installed.app), row().webhook_secret_set_at) == ([first, None, None], None)
    saleor.calls.clear()
    assert set_webhook_secrets(clock.now()) == 1
    assert saleor.calls == ["AppWebhooks", "WebhookUpdate", "WebhookUpdate"]
    assert carried(installed.app) == [first] * 3 == [secret()] * 3


@pytest.mark.parametrize("kind", ["drop", "500", "garbage", "null"])
def test_an_answer_that_was_lost_is_no_second_secret(saleor, installed, kind):
    saleor.traps.add(Fault(kind, operation="WebhookUpdate", executed=True, skip=2))
    assert set_webhook_secrets(clock.now()) == 0
    assert (carried(installed.app), row().webhook_secret_set_at) == ([secret()] * 3, None)
    saleor.calls.clear()
    assert set_webhook_secrets(clock.now()) == 1
    assert saleor.calls == ["AppWebhooks"]
    assert carried(installed.app) == [secret()] * 3


@pytest.mark.parametrize("kind", ["500", "garbage", "rate_limit", "invalid_token"])
def test_while_saleor_does_not_tell_its_webhooks_nothing_is_asked_of_them(saleor, installed, kind):
    saleor.traps.add(Fault(kind, operation="AppWebhooks", times=3))
    assert set_webhook_secrets(clock.now()) == 0
    assert (carried(installed.app), row().webhook_secret_set_at) == ([None] * 3, None)
    assert tell(saleor) == 0


def test_an_installation_of_before_gets_its_secret_when_it_is_looked_after(saleor, installed):
    SaleorInstallation.objects.update(webhook_secret_encrypted="")
    saleor.calls.clear()
    assert look_after_installations(clock.now()) == 1
    assert saleor.calls == ["AppRead", *SET_ALL]
    assert carried(installed.app) == [secret()] * 3
    assert row().webhook_secret_set_at is not None


def test_installed_again_there_is_a_new_secret_and_no_event_of_ours_is_lost(saleor, sealed, evil):
    first = secret()
    saleor.uninstall(sealed.app)
    saleor.work()
    assert (row().webhook_secret_encrypted, row().webhook_secret_set_at) == ("", None)
    app = saleor.install(MANIFEST)
    assert (row().webhook_secret_set_at, secret() == first) == (None, False)
    with later():
        assert tell(saleor) == 0
        assert set_webhook_secrets(clock.now()) == 1
    assert carried(app) == [secret()] * 3
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00"}]))
    with clock.travel(3 * GRACE):
        assert evil.replay(EVENTS_URL, **{NAME: first}).status == 400
        assert tell(saleor) == 0
    assert heard() == 2


def test_installed_over_an_installation_whose_removal_nobody_told_the_old_secret_is_gone_too(saleor, sealed):
    first = secret()
    saleor.uninstall(sealed.app)
    app = saleor.install(MANIFEST)
    assert (row().webhook_secret_set_at, secret() == first, carried(app)) == (None, False, [None] * 3)


def test_a_secret_that_somebody_took_off_a_webhook_is_put_back_and_is_asked_for_all_the_while(saleor, sealed, evil, caplog):
    sealed.app.webhooks[0].custom_headers = {}
    since = row().webhook_secret_set_at
    with later():
        assert tell(saleor) == 1
        assert heard() == 0
        saleor.calls.clear()
        assert look_after_installations(clock.now()) == 1
        assert saleor.calls == ["AppRead", "AppWebhooks", "WebhookUpdate"]
        assert tell(saleor) == 0
        saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00"}]))
        assert evil.replay(EVENTS_URL).status == 400
    assert "Orders and payments" in caplog.text
    assert (carried(sealed.app), row().webhook_secret_set_at) == ([secret()] * 3, since)


def test_headers_that_the_shop_chose_itself_stay(saleor, installed):
    installed.app.webhooks[0].custom_headers = {"x-tenant": "paper-heron"}
    set_webhook_secrets(clock.now())
    assert installed.app.webhooks[0].custom_headers == {"x-tenant": "paper-heron", NAME: secret()}


def test_a_webhook_to_somebody_else_is_told_no_secret(saleor, installed):
    foreign = Webhook(
        id=saleor.world.next_id("Webhook"),
        app=installed.app,
        name="Somebody's own",
        target_url="https://elsewhere.example/refunds/",
        query="subscription { event { __typename } }",
        events=["ORDER_UPDATED"],
    )
    installed.app.webhooks.append(foreign)
    saleor.calls.clear()
    assert set_webhook_secrets(clock.now()) == 1
    assert saleor.calls == SET_ALL
    assert foreign.custom_headers == {}


def check() -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("refunds_saleor", "--check", stdout=out)
    except CommandError as error:
        return out.getvalue(), error.returncode
    return out.getvalue(), 0


def test_a_webhook_that_has_no_room_for_the_secret_is_told_by_the_check_and_goes_on_as_before(saleor, installed):
    installed.app.webhooks[0].custom_headers = {f"x-{number}": "taken" for number in range(5)}
    text, code = check()
    assert "imitate" in text
    assert "exceeds the limit: 5" in text
    assert code == 1
    assert row().webhook_secret_set_at is None
    with later():
        assert tell(saleor) == 0
    installed.app.webhooks[0].custom_headers = {}
    assert check()[1] == 0
    assert row().webhook_secret_set_at is not None


def test_without_any_webhook_nothing_is_asked_for(saleor, installed):
    installed.app.webhooks.clear()
    assert "no webhook" in keep_webhook_secret(row())
    assert row().webhook_secret_set_at is None


def test_a_saleor_that_says_yes_and_keeps_nothing_is_not_believed(saleor, installed, monkeypatch):
    monkeypatch.setattr(webhook_secrets, "set_webhook_headers", lambda client, **told: {})
    assert "did not keep" in keep_webhook_secret(row())
    assert row().webhook_secret_set_at is None


def test_two_workers_at_once_set_the_same_secret(installed):
    SaleorInstallation.objects.update(webhook_secret_encrypted="")
    one, other = row(), row()
    assert own_secret(one) == own_secret(other) == secret()


def test_a_worker_that_began_before_the_app_was_installed_anew_does_not_close_the_door_to_the_new_webhooks(saleor, installed):
    slow = row()
    saleor.uninstall(installed.app)
    app = saleor.install(MANIFEST)
    assert not note_secret_set(slow, now=clock.now())
    assert row().webhook_secret_set_at is None
    assert keep_webhook_secret(slow) == ""  # it looks at the row anew
    assert carried(app) == [secret()] * 3
    assert row().webhook_secret_set_at is not None
    assert not note_secret_set(row(), now=clock.now())


def test_a_new_secret_is_not_made_for_an_app_that_is_being_removed(saleor, installed):
    SaleorInstallation.objects.update(webhook_secret_encrypted="")
    slow = row()
    remove_installation(installation=slow, app_id=slow.app_id, now=clock.now())
    assert keep_webhook_secret(slow)
    slow.webhook_secret_encrypted = ""
    with pytest.raises(SecretUnreadable):
        own_secret(slow)
    assert (row().webhook_secret_encrypted, carried(installed.app)) == ("", [None] * 3)


def test_the_secret_is_encrypted_at_rest_and_is_in_no_log_and_no_representation(saleor, installed, caplog):
    with caplog.at_level(logging.DEBUG):
        saleor.traps.add(Fault("garbage", operation="WebhookUpdate", executed=True))
        set_webhook_secrets(clock.now())
        set_webhook_secrets(clock.now())
        with later():
            tell(saleor)
            saleor.post.transport.post(EVENTS_URL, b"{}", {"Saleor-Api-Url": saleor.api_url, NAME: secret()})
    webhooks = read_webhooks(client_for("paper-heron"))
    assert [webhook.headers[NAME] for webhook in webhooks] == [secret()] * 3
    kept = json.dumps(list(SaleorInstallation.objects.values()), default=str)
    assert secret() not in kept + repr(webhooks) + repr(row()) + caplog.text
    assert secret() not in new_secret()
    assert caplog.text


def test_a_report_of_an_error_does_not_show_the_secret(rf):
    request = rf.post("/refunds/saleor/webhooks/", headers={HEADER: "s3cret"})
    assert "s3cret" in request.META.values()
    assert "s3cret" not in SafeExceptionReporterFilter().get_safe_request_meta(request).values()


def test_when_the_key_is_changed_the_secret_is_encrypted_anew_and_stays_the_same(saleor, sealed, settings):
    before, since = secret(), row().webhook_secret_set_at
    new = Fernet.generate_key().decode()
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ENCRYPTION_KEYS": [new]}
    assert not is_newest(row().webhook_secret_encrypted)
    saleor.calls.clear()
    look_after_installations(clock.now())
    assert saleor.calls == ["AppRead", "AppWebhooks"]
    settings.SECRET_KEY = "another one"
    assert (secret(), row().webhook_secret_set_at) == (before, since)
    assert is_newest(row().webhook_secret_encrypted)
    with later():
        assert tell(saleor) == 0


def test_while_the_secret_cannot_be_read_events_are_asked_for_again_and_nothing_is_believed(saleor, sealed, evil):
    kept = row().webhook_secret_encrypted
    SaleorInstallation.objects.update(webhook_secret_encrypted="not ours")
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "30.00"}]))
    with later():
        saleor.work()
        assert evil.replay(EVENTS_URL).status == 503
        assert heard() == 0
        SaleorInstallation.objects.update(webhook_secret_encrypted=kept)
        assert tell(saleor) == 0
    assert heard() == 1


def test_a_secret_that_nobody_can_read_any_more_is_replaced_while_the_token_works(saleor, sealed):
    since = row().webhook_secret_set_at
    SaleorInstallation.objects.update(webhook_secret_encrypted="not ours")
    assert look_after_installations(clock.now()) == 1
    assert carried(sealed.app) == [secret()] * 3
    assert row().webhook_secret_set_at not in (None, since)  # so what is on its way with the old one is still heard
    with later():
        assert tell(saleor) == 0


def test_the_sweep_sets_secrets_every_minute_and_asks_no_saleor_that_has_them_or_is_not_named(saleor, installed, settings, caplog):
    (duty,) = (duty for duty in duties.duties() if duty.name == "set_saleor_webhook_secrets")
    assert duty.every_seconds == 60
    named = settings.REFUND_PLUGIN
    saleor.calls.clear()
    for others in ([], ["https://other.example/graphql/"]):
        settings.REFUND_PLUGIN = {**named, "SALEOR": {address: {} for address in others}}
        assert duty.run(clock.now()) == 0
    assert (saleor.calls, caplog.records) == ([], [])  # nor does it fill the log, minute by minute
    settings.REFUND_PLUGIN = named
    assert (duty.run(clock.now()), duty.run(clock.now())) == (1, 0)
    assert saleor.calls == SET_ALL


def test_secrets_are_compared_in_constant_time(saleor, sealed, monkeypatch):
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("refund_plugin.saleor.deliveries.hmac.compare_digest", compare)
    with later():
        assert tell(saleor) == 0
    assert (secret().encode(), secret().encode()) in compared
