"""Small steps that several tests take."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.staff.verbs import seen_stamp


def verb_url(verb: str, case: RefundRequest) -> str:
    """Return the address of a verb on a case."""
    return reverse(f"refund_cases:{verb}", args=[case.pk])


def do(client: Client, verb: str, case: RefundRequest, **data: Any) -> Any:
    """Send a verb's form as the case page would."""
    return client.post(verb_url(verb, case), {"seen": seen_stamp(case), **data}, follow=True)


def whole_state(case: RefundRequest) -> tuple[Any, ...]:
    """Return everything that a decision would change."""
    case = RefundRequest.objects.get(pk=case.pk)
    return (case.state, case.changed_at, case.evidence_question, Decision.objects.count(), Refund.objects.count())
