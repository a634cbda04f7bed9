"""Wake a worker through the broker. Nothing depends on it: rows are the queue, and a periodic sweep finds them.

A broker that is down must neither delay nor fail a customer's request, so a ring is sent once, without retries and with a
short timeout, and after a failure this process stays silent for a few seconds.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from celery import current_app
from django.db import transaction
from kombu import Connection

from refund_plugin.conf import settings

logger = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
_quiet_until = 0.0
_kept = threading.local()


def ring(task: str) -> None:
    """Wake a worker to run `task` when the present transaction commits; at most one ring per task and transaction."""
    for _sids, registered, _robust in transaction.get_connection().run_on_commit:
        pending = getattr(registered, "doorbell_tasks", None)
        if pending is not None:
            pending[task] = None
            return
    tasks = {task: None}  # each once, in their order

    def callback() -> None:
        send(*tasks)

    callback.doorbell_tasks = tasks  # type: ignore[attr-defined]
    transaction.on_commit(callback, robust=True)


def send(*tasks: str) -> bool:
    """Send `tasks` now, over this thread's connection; tell whether the broker took them. Never raises for a broker that is down."""
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return False
    try:
        _send(tasks)
    except Exception as error:  # any broker failure is the same to us: the sweep will find the row
        _quiet_until = time.monotonic() + QUIET_SECONDS
        names = ", ".join(tasks)
        logger.warning("the broker did not take the doorbell for %s (%s); the sweep will find the work", names, type(error).__name__)
        return False
    return True


def _send(tasks: Sequence[str]) -> None:
    connection, is_fresh = _connection()
    try:
        for task in tasks:
            current_app.send_task(task, connection=connection, retry=False, ignore_result=True, expires=60)
    except Exception:
        _drop_connection()
        if is_fresh:
            raise
        _send(tasks)  # the broker was restarted since; a ring too many does no harm


def _connection() -> tuple[Connection, bool]:
    """Return this thread's connection to the broker, and whether it is new; making one costs more than a ring."""
    seconds = settings().doorbell_timeout_seconds
    owner = (os.getpid(), id(current_app.conf), current_app.conf.broker_url, seconds)
    if getattr(_kept, "owner", None) != owner:
        options = {
            "socket_connect_timeout": seconds,
            "socket_timeout": seconds,
            **(current_app.conf.broker_transport_options or {}),
            # `retry=False` stops the publishing from being repeated; connecting has retries of its own (kombu's failover)
            "max_retries": 0,
            "interval_start": 0,
        }
        _kept.connection = current_app.connection_for_write(connect_timeout=seconds, transport_options=options)
        _kept.owner = owner
        return _kept.connection, True
    return _kept.connection, False


def _drop_connection() -> None:
    connection, _kept.owner = _kept.connection, None
    with suppress(Exception):  # it is broken already
        connection.release()
