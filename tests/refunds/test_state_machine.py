"""Any order of asking, sending, lost answers, killed workers, webhooks, people and waiting keeps the money true."""

from __future__ import annotations

import itertools
import logging
import os
import uuid

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from refund_plugin.events import doorbell
from refund_plugin.events import services as event_services
from refund_plugin.refunds import outcomes, reserve
from tests.factories import EBOOK, LICENCE, make_purchase, publish_policy
from tests.faults.model_machine import RefundMachine

EXAMPLES = int(os.environ.get("REFUND_STATE_MACHINE_EXAMPLES", "40"))
STEPS = 50


@pytest.mark.django_db
def test_no_sequence_of_events_loses_or_doubles_money(gateway, monkeypatch):
    publish_policy(limit=2300)  # three licences are for a person to decide
    # replaying an example must meet the same order of rows and the same waits
    numbers = itertools.count(1)
    monkeypatch.setattr(reserve.uuid, "uuid4", lambda: uuid.UUID(int=next(numbers)))
    monkeypatch.setattr(outcomes.random, "uniform", lambda low, high: 1.0)
    # what follows an event is not the money's business, and a broker may forget every message: rows are what is worked on
    monkeypatch.setattr(event_services, "_subscribers", {})
    monkeypatch.setattr(doorbell, "ring", lambda task: None)
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    splits = ([4220], [2000, 2220], [1, 4219])
    RefundMachine.purchases = tuple(make_purchase(lines=[EBOOK, LICENCE], payments=split) for split in splits)
    run_state_machine_as_test(
        RefundMachine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
        ),
    )
