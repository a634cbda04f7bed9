"""The demo shop's Celery application with the calls to the gateway counted: what `celery --app tests.faults.celery_app` runs."""

from __future__ import annotations

import os

import django

from demo.shop.celery import app

django.setup()  # Celery would do it later, and what counts the calls knows the engine

from tests.faults import hooks  # noqa: E402

hooks.count_calls(os.environ["REFUND_FAULTS_CALLS"])

__all__ = ["app"]
