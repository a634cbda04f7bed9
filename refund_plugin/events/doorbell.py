"""Wake a worker through the broker. Nothing depends on it: rows are the queue, and a periodic sweep finds them.

A broker that is down must neither delay nor fail a customer's request, so a ring is sent once, without retries and with a
short timeout, and after a failure this process stays silent for a few seconds.
"""

from __future__ import annotations

import logging
import time

from celery import current_app
from django.db import transaction

from refund_plugin.conf import settings

logger = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
_quiet_until = 0.0


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
    """Send `tasks` now, over one connection; tell whether the broker took them. Never raises for a broker that is down."""
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return False
    seconds = settings().doorbell_timeout_seconds
    options = {
        "socket_connect_timeout": seconds,
        "socket_timeout": seconds,
        **(current_app.conf.broker_transport_options or {}),
        # `retry=False` stops the publishing from being repeated; connecting has retries of its own (kombu's failover)
        "max_retries": 0,
        "interval_start": 0,
    }
    try:
        with current_app.connection_for_write(connect_timeout=seconds, transport_options=options) as broker:
            for task in tasks:
                current_app.send_task(task, connection=broker, retry=False, ignore_result=True, expires=60)
    except Exception as error:  # any broker failure is the same to us: the sweep will find the row
        _quiet_until = time.monotonic() + QUIET_SECONDS
        names = ", ".join(tasks)
        logger.warning("the broker did not take the doorbell for %s (%s); the sweep will find the work", names, type(error).__name__)
        return False
    return True
