"""The circuit breaker of an account: when a gateway is down, refunds wait instead of piling up unknown outcomes.

It trips on timeouts and server errors in a row. After a pause one call tries; its answer closes the breaker, its silence
makes the pause longer. Refused credentials are no outage: they hold the account (`gateways.services.hold_account`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import F

from refund_plugin.conf import settings
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.models import GatewayAccount

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 30.0  # so that what is unknown is known within a minute of the gateway's return


def take_try(account: GatewayAccount, *, now: datetime) -> bool:
    """Take the one try of an account whose pause is over; tell whether nobody else has.

    Args:
        now: the database's clock.
    """
    # who moves the date gets the try; the others wait for its answer
    mine = GatewayAccount.objects.filter(pk=account.pk, breaker_open_until=account.breaker_open_until)
    return bool(mine.update(breaker_open_until=now + timedelta(seconds=settings().lease_seconds)))


def note_answers(account: GatewayAccount, answers: Sequence[GatewayAnswer | None], *, now: datetime) -> bool:
    """Count what the gateway answered, in order; tell whether the breaker was closed by it.

    Args:
        account: as it was when the calls were made.
        answers: None is a complete listing without the refund, which is an answer like any other.
        now: the database's clock.
    """
    failures = 0
    for answer in answers:
        failures = failures + 1 if is_failure(answer) else 0
    healthy = len(answers) > failures
    rows = GatewayAccount.objects.filter(pk=account.pk)
    if healthy and failures == 0:
        # asked of the row: other workers count there too
        counted = rows.exclude(breaker_failures=0, breaker_open_until__isnull=True)
        closed = bool(counted.update(breaker_failures=0, breaker_trips=0, breaker_open_until=None)) and bool(account.breaker_open_until)
        if closed:
            logger.warning("gateway account %s answers again", account.slug)
        return closed
    if failures:
        rows.update(breaker_failures=failures if healthy else F("breaker_failures") + failures)
        _trip_if_needed(account, now)
    return False


def is_failure(answer: GatewayAnswer | None) -> bool:
    """Tell whether an answer speaks of an outage: silence, or an error of the gateway's own."""
    if answer is None or answer.hold or answer.idempotent_replayed:
        return False
    if answer.kind == AnswerKind.NOT_EXECUTED:
        return answer.code == "connection_failed"
    status = answer.raw.get("http_status")
    return answer.kind == AnswerKind.MAYBE_EXECUTED and (answer.code == "no_answer" or (isinstance(status, int) and status >= 500))


def _trip_if_needed(account: GatewayAccount, now: datetime) -> None:
    conf = settings()
    row = GatewayAccount.objects.get(pk=account.pk)
    if row.breaker_failures < conf.breaker_failures:
        return
    pause = min(conf.breaker_seconds * 2.0 ** min(row.breaker_trips, 10), LONGEST_PAUSE_SECONDS)
    opened = GatewayAccount.objects.filter(pk=account.pk).exclude(breaker_open_until__gt=now + timedelta(seconds=pause))
    if opened.update(breaker_open_until=now + timedelta(seconds=pause), breaker_trips=F("breaker_trips") + 1):
        logger.error("gateway account %s does not answer; the next try is in %.0f s", account.slug, pause)
