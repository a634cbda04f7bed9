"""How long `refundRequestCreate` keeps a customer waiting on PostgreSQL, through the GraphQL view, and what it asks of the database."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from refund_plugin import clock, documents
from tests.bench.engine import policy
from tests.bench.figures import Row, at_most, percentile, time_each
from tests.services import PrivatePostgres

if TYPE_CHECKING:  # importing it reads the settings, which must not happen before the server is up
    from django.test import Client

WARM_UP, MEASURED, MEASURED_ALONE = 20, 200, 50
PLENTY = (1_000_000, 60)  # so many tries a minute that no limit is met; counting them costs the same


@contextmanager
def postgres() -> Iterator[None]:
    """Run a private PostgreSQL that the Django settings, not loaded yet, will use."""
    with PrivatePostgres() as server:
        os.environ["REFUND_TEST_DATABASE"] = server.url
        try:
            yield
        finally:
            from django.db import connections

            connections.close_all()


def measure() -> list[Row]:
    """Return the rows of the request; Django is set up and the database is empty."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client, override_settings
    from django.test.utils import CaptureQueriesContext

    call_command("migrate", verbosity=0, interactive=False)
    limits = {f"LIMIT_{name}": PLENTY for name in ("LOOKUP", "REQUEST", "MAIL")}
    with override_settings(REFUND_PLUGIN={**settings.REFUND_PLUGIN, **limits}):
        asks = _prepare(WARM_UP + MEASURED + MEASURED_ALONE + 1, Client())
        time_each(asks[:WARM_UP])
        taken = time_each(asks[WARM_UP : WARM_UP + MEASURED])
        alone = time_each(asks[WARM_UP + MEASURED : -1], time.thread_time_ns)
        with CaptureQueriesContext(connection) as captured:
            asks[-1]()
    queries = [query for query in captured.captured_queries if query["sql"] not in ("BEGIN", "COMMIT")]
    server = connection.pg_version
    name = f"refundRequestCreate over GraphQL, PostgreSQL {server // 10_000}.{server % 10_000}"
    return [
        at_most(f"{name}, p95", percentile(taken, 95), 50, "ms", 1),
        Row("  p50", f"{percentile(taken, 50):.1f} ms"),
        Row("  processor time of the web process, p50", f"{percentile(alone, 50):.1f} ms"),
        at_most("  SQL queries", len(queries), 15, "", 0),
    ]


def _prepare(count: int, client: Client) -> list[Callable[[], Any]]:
    """Make as many purchases of three lines under a policy of many clauses, and a first request for two lines of each."""
    from refund_plugin.api.types import global_id
    from refund_plugin.policies.services import freeze_policy
    from refund_plugin.rules import dump_document
    from refund_plugin.stores.services import ensure_default_store
    from tests.factories import COURSE, EBOOK, LICENCE, make_purchase

    now = clock.now()
    store = ensure_default_store()
    freeze_policy(key="bench", title="Refunds", document=dump_document(policy()), now=now - timedelta(days=400), assign_to=store)
    create = documents.operation("storefront/RefundRequestCreate")
    asks = []
    for number in range(count):
        email = f"customer{number}@example.com"
        purchase = make_purchase(lines=(EBOOK, COURSE, LICENCE), email=email, purchased_at=now - timedelta(days=6))
        lines = [{"lineId": global_id("PurchaseLine", line.pk), "quantity": 1} for line in purchase.lines.all()[:2]]
        asked = {"orderNumber": purchase.number, "email": email, "lines": lines, "reason": "CHANGED_MIND", "clientKey": str(uuid.uuid4())}
        asks.append(lambda asked=asked: _ask(client, create, asked))
    return asks


def _ask(client: Client, operation: str, asked: dict[str, Any]) -> None:
    body = json.dumps({"query": operation, "variables": {"input": asked}})
    answer = client.post("/refunds/graphql/", body, content_type="application/json").json()
    created = (answer.get("data") or {}).get("refundRequestCreate") or {}
    if not created.get("refundRequest") or created["refundRequest"]["status"] != "APPROVED":
        raise RuntimeError(f"The request was not approved: {answer}")
