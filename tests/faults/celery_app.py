"""The demo shop's Celery application with the calls to the gateway counted: what `celery --app tests.faults.celery_app` runs."""

from __future__ import annotations

import os

from demo.shop.celery import app
from tests.faults import hooks

app.autodiscover_tasks(force=True)
hooks.count_calls(os.environ["REFUND_FAULTS_CALLS"])

__all__ = ["app"]
