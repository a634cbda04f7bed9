"""The health page: `GET /refunds/health/`, for load balancers, monitors and `make demo`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from celery import current_app
from django.db import Error as AnyDatabaseError
from django.db import connection, transaction
from django.db.models import Max
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.events.models import Heartbeat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import account_slugs
from refund_plugin.refunds.reconcile.models import SelfTest

OK, DEGRADED, DOWN = "ok", "degraded", "down"
# a probe opens a connection: many monitors must not become many connections
BROKER_CACHE_SECONDS = 3.0
# the sweep asks every gateway about once a minute
GATEWAY_SILENCE_SECONDS = 300.0

_broker_seen: tuple[float, Part] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """How one part stands; `age_seconds` is how old that knowledge is, None when there is none."""

    state: str
    detail: str
    age_seconds: float | None = None


@require_safe
@never_cache
@transaction.non_atomic_requests
def health(request: HttpRequest) -> JsonResponse:
    """Tell how database, broker, worker, gateways and self-test stand, without names, counts or secrets.

    Answers 200 while requests are accepted and executed, 503 when the database or the worker is down. A broker that is down
    only delays (the worker's own sweep finds the work), and so does a gateway: both are `degraded`, like a self-test that failed.
    The part `selftest` is there once there was one.
    """
    database, selftest = _database(), None
    if database.state == OK:
        now = clock.database_now()
        worker, gateway, selftest = _worker(now), _gateways(now), _selftest(now)
    else:
        worker = gateway = Part(DOWN, "not known: the database does not answer")
    parts = {"database": database, "broker": _broker(), "worker": worker, "gateway": gateway}
    if selftest is not None:
        parts["selftest"] = selftest
    if DOWN in (database.state, worker.state):
        status = DOWN
    elif all(part.state == OK for part in parts.values()):
        status = OK
    else:
        status = DEGRADED
    answer = {name: {"state": part.state, "detail": part.detail, "age_seconds": part.age_seconds} for name, part in parts.items()}
    return JsonResponse({"status": status, **answer}, status=503 if status == DOWN else 200)


def _database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except AnyDatabaseError as error:
        return Part(DOWN, f"does not answer ({type(error).__name__})", 0.0)
    return Part(OK, "answers", 0.0)


def _worker(now: datetime) -> Part:
    """Read the row that the worker's own task writes at every sweep."""
    beat_at = Heartbeat.objects.filter(name="worker").values_list("beat_at", flat=True).first()
    if beat_at is None:
        return Part(DOWN, "has never run: start a Celery worker with beat, or manage.py refunds_worker")
    age = max(0.0, (now - beat_at).total_seconds())
    # a sweep may be busy sending for a while
    patience = max(30.0, 6.0 * settings().sweep_seconds)
    if age > patience:
        return Part(DOWN, f"has not run for {age:.0f} s", round(age, 1))
    return Part(OK, "runs", round(age, 1))


def _gateways(now: datetime) -> Part:
    """Read what the sweep last learned; the worst account counts. Nothing is asked over the network here."""
    slugs = account_slugs()
    if not slugs:
        return Part(DEGRADED, "no account in REFUND_PLUGIN['GATEWAYS']")
    beats = dict(Heartbeat.objects.filter(name__in=[f"gateway:{slug}" for slug in slugs]).values_list("name", "beat_at"))
    held = GatewayAccount.objects.filter(slug__in=slugs, on_hold=True).exists()
    if len(beats) < len(slugs):
        return Part(DEGRADED, "refuses our credentials: see the settings" if held else "has not answered yet")
    age = max(0.0, (now - min(beats.values())).total_seconds())
    if held:
        return Part(DEGRADED, "refuses our credentials: see the settings", round(age, 1))
    if age > GATEWAY_SILENCE_SECONDS:
        return Part(DEGRADED, f"has not answered for {age:.0f} s", round(age, 1))
    return Part(OK, "answers", round(age, 1))


def _selftest(now: datetime) -> Part | None:
    """Read the last self-test of each account; a failed one counts, else the oldest."""
    tests = SelfTest.objects.filter(account__slug__in=settings().gateways, account__livemode=False).order_by()
    newest = SelfTest.objects.filter(pk__in=tests.values("account").annotate(last=Max("pk")).values("last"))
    worst = newest.order_by("fine", "finished_at").first()
    if worst is None:
        return None
    age = round(max(0.0, (now - worst.finished_at).total_seconds()), 1)
    return Part(OK, "went through", age) if worst.fine else Part(DEGRADED, "failed: see the report of the money in the admin", age)


def _broker() -> Part:
    global _broker_seen
    at, part = _broker_seen or (0.0, None)
    age = time.monotonic() - at
    if part is None or age > BROKER_CACHE_SECONDS:
        part, age = _probe_broker(), 0.0
        _broker_seen = (time.monotonic(), part)
    return Part(part.state, part.detail, round(age, 1))


def _probe_broker() -> Part:
    seconds = settings().doorbell_timeout_seconds
    options = {"socket_connect_timeout": seconds, "socket_timeout": seconds, **(current_app.conf.broker_transport_options or {})}
    try:
        with current_app.connection_for_write(connect_timeout=seconds, transport_options=options) as broker:
            broker.ensure_connection(max_retries=0)
            # Redis is first spoken to here: connecting alone would not notice a server that is not there
            broker.channel().close()
    except Exception as error:  # whatever goes wrong, the broker did not answer
        return Part(DEGRADED, f"does not answer ({type(error).__name__}); work is found by the sweep")
    return Part(OK, "answers")
