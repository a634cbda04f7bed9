import socket
from datetime import timedelta

import pytest
from celery import current_app
from django.db import OperationalError, connection

from refund_plugin import clock
from refund_plugin.events.heartbeats import beat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.refunds.reconcile.models import SelfTest
from refund_plugin.web import health

PATH = "/refunds/health/"


@pytest.fixture(autouse=True)
def fresh_probe(monkeypatch):
    monkeypatch.setattr(health, "_broker_seen", None)


def use_broker(monkeypatch, url):
    for name in ("broker_url", "broker_write_url"):
        monkeypatch.setattr(current_app.conf, name, url)
    monkeypatch.setitem(current_app.conf, "broker_transport", None)  # the URL names it


@pytest.fixture
def alive(db, settings, monkeypatch):
    """A broker that answers, a worker that has just run and a gateway that has just answered."""
    use_broker(monkeypatch, "memory://")
    settings.REFUND_PLUGIN = {"GATEWAYS": {"main": {"kind": "memory"}}, "DOORBELL_TIMEOUT_SECONDS": 0.5}
    ensure_accounts()
    beat("worker", now=clock.database_now())
    beat("gateway:main", now=clock.database_now())


@pytest.fixture
def broken_broker(alive, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    use_broker(monkeypatch, f"redis://127.0.0.1:{port}/0")


def states(response):
    return {name: part["state"] for name, part in response.json().items() if name != "status"}


def test_all_is_well_when_everything_answers(client, alive):
    response = client.get(PATH)

    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert states(response) == {"database": "ok", "broker": "ok", "worker": "ok", "gateway": "ok"}
    assert 0 <= response.json()["worker"]["age_seconds"] < 30
    assert "no-cache" in response["Cache-Control"]


def test_a_worker_that_never_ran_is_down(client, db):
    response = client.get(PATH)

    assert response.status_code == 503
    assert (response.json()["status"], states(response)["worker"]) == ("down", "down")
    assert "refunds_worker" in response.json()["worker"]["detail"]


def test_a_worker_that_stopped_is_down_and_its_silence_is_measured(client, alive):
    beat("worker", now=clock.database_now() - timedelta(seconds=90))

    response = client.get(PATH)

    assert response.status_code == 503
    assert 90 <= response.json()["worker"]["age_seconds"] < 120


def test_a_broken_broker_only_degrades_because_the_sweep_finds_the_work(client, alive, broken_broker):
    response = client.get(PATH)

    assert response.status_code == 200
    assert (response.json()["status"], states(response)["broker"]) == ("degraded", "degraded")


def test_the_broker_is_not_probed_for_every_caller(client, alive, monkeypatch):
    probes = []
    monkeypatch.setattr(health, "_probe_broker", lambda: probes.append(1) or health.Part("ok", "answers"))
    for _caller in range(3):
        client.get(PATH)

    assert len(probes) == 1


def test_a_held_gateway_account_degrades(client, alive):
    GatewayAccount.objects.update(on_hold=True, hold_reason="Invalid API Key provided: sk_test_secret")

    response = client.get(PATH)

    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert "credentials" in response.json()["gateway"]["detail"]
    assert b"sk_test" not in response.content


def test_a_gateway_that_fell_silent_degrades(client, alive):
    beat("gateway:main", now=clock.database_now() - timedelta(minutes=10))

    assert states(client.get(PATH))["gateway"] == "degraded"


def test_a_gateway_that_never_answered_degrades(client, alive, settings):
    settings.REFUND_PLUGIN = {"GATEWAYS": {"main": {"kind": "memory"}, "second": {"kind": "memory"}}}

    assert states(client.get(PATH))["gateway"] == "degraded"


def test_a_database_that_does_not_answer_is_told_and_nothing_else_is_asked(client, alive, monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError("could not connect to server at 10.0.0.7 as shopuser")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        response = client.get(PATH)

    assert response.status_code == 503
    assert states(response) == {"database": "down", "broker": "ok", "worker": "down", "gateway": "down"}
    assert b"shopuser" not in response.content


def test_looking_changes_nothing_and_takes_few_statements(client, alive, django_assert_num_queries):
    with django_assert_num_queries(6):
        client.get(PATH)
    assert client.post(PATH).status_code == 405


def test_the_last_self_test_is_told_once_there_was_one(client, alive):
    account, now = GatewayAccount.objects.get(slug="main"), clock.database_now()

    def tested(fine, minutes_ago):
        at = now - timedelta(minutes=minutes_ago)
        SelfTest.objects.create(account=account, fine=fine, started_at=at, finished_at=at)

    tested(True, 30)
    told = client.get(PATH).json()
    assert (told["status"], told["selftest"]["state"]) == ("ok", "ok")
    assert told["selftest"]["age_seconds"] >= 1800

    tested(False, 20)
    response = client.get(PATH)
    assert (response.status_code, response.json()["status"], states(response)["selftest"]) == (200, "degraded", "degraded")

    tested(True, 10)
    assert client.get(PATH).json()["status"] == "ok"
