"""What `celery --app tests.bench.celery_app` runs: a task that does nothing, and one that refunds as tasks usually do."""

from __future__ import annotations

import django

from demo.shop.celery import app

django.setup()  # Celery would do it later, and the gateway must be known before

from tests.bench import gateway  # noqa: E402, F401
from tests.bench.naive import refund_naively  # noqa: E402

QUEUE = "bench"  # of its own, so that doorbells that nobody here answers stay where they are


@app.task(name="bench.nothing", ignore_result=True)
def nothing() -> None:
    """Show what Celery costs."""


@app.task(name="bench.refund", ignore_result=True)
def refund(refund_id: str) -> None:
    """Send one refund."""
    refund_naively(refund_id)
