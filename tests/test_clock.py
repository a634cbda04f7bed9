"""The database's clock: what a statement notes as now is due at the same moment."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from django.db import connection
from django.utils import timezone

from refund_plugin import clock
from refund_plugin.events.models import Delivery, Event
from refund_plugin.stores.services import ensure_default_store

WHOLE_SECOND = "2026-11-23 18:00:38.000"  # as SQLite writes `Now()`


@pytest.mark.django_db
def test_what_is_due_now_is_due_in_the_same_moment_also_on_a_whole_second(monkeypatch):
    event = Event.objects.create(store=ensure_default_store(), kind="x", occurred_at=timezone.now())
    Delivery.objects.create(event=event, subscriber="x", due_at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {Delivery._meta.db_table} SET due_at = %s", [WHOLE_SECOND])
    asked = SimpleNamespace(execute=lambda sql: None, fetchone=lambda: (WHOLE_SECOND,))
    monkeypatch.setattr(clock, "connection", SimpleNamespace(vendor="sqlite", cursor=lambda: nullcontext(asked)))
    assert Delivery.objects.filter(due_at__lte=clock.database_now()).exists()
