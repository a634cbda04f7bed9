"""Make the calls of many claims at the same time, each at the instant the account's rate limit gave it.

Threads only make calls: what is claimed and recorded is the driving thread's, and a connection that an adapter opened to look something
up is closed behind the call. Answers are recorded as they come, in groups.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.db import InterfaceError, OperationalError, close_old_connections, connections

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, refuse_inside_transaction
from refund_plugin.gateways.breaker import note_answers, take_try
from refund_plugin.gateways.limiter import push_back, take_slots
from refund_plugin.gateways.models import GatewayAccount, SlotKind
from refund_plugin.refunds.execute import READS, Claim, Started, begin_attempts, claim_due, give_back, wake_account, wake_siblings
from refund_plugin.refunds.models import AttemptPurpose
from refund_plugin.refunds.outcomes import Told, record_answers

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.05  # how long answers are gathered before they are recorded together
RECORD_TRIES = 3
OUR_OWN = frozenset({"lease_over", "adapter_error"})  # answers that say nothing about the gateway
_pool: ThreadPoolExecutor | None = None


def drive_refunds(*, limit: int = 500) -> int:
    """Work on everything that is due, up to about `limit` refunds; return how many calls were made."""
    accounts = list(GatewayAccount.objects.filter(on_hold=False))
    share = -(-limit // max(1, len(accounts)))  # so that one account's backlog does not starve the others
    return sum(_Driver(account).run(share) for account in accounts)


class _Driver:
    """Drives the refunds of one account until nothing is due, the limit is reached, or the gateway falls silent."""

    def __init__(self, account: GatewayAccount) -> None:
        self._account = account
        self._concurrency = max(1, settings().concurrent_calls)
        self._waiting: deque[Claim] = deque()
        self._flying: dict[Future[GatewayAnswer | None], Started] = {}
        self._claimed = 0
        self._held_back = False  # some claim made no call, perhaps because its payment was busy

    def run(self, limit: int) -> int:
        """Return how many calls were made."""
        calls, stopped, hungry = 0, False, True
        while True:
            if hungry and not self._waiting and not stopped:
                stopped = not self._claim(limit)
                hungry = bool(self._waiting)
            if self._waiting and stopped:
                give_back(self._waiting, seconds=settings().breaker_seconds)
                self._waiting.clear()
            if self._waiting and len(self._flying) <= self._concurrency // 2:
                calls += self._launch()
            if self._flying:
                done, _flying = wait(self._flying, timeout=GATHER_SECONDS)
                stopped = self._record(done) or stopped
                hungry = hungry or bool(done)  # an answer may make the next call due at once
            elif not self._waiting and (stopped or not hungry):
                return calls

    def _claim(self, limit: int) -> bool:
        """Claim what is due; tell whether the account may be called now."""
        self._account.refresh_from_db()
        account, wanted = self._account, min(settings().claim_batch, limit - self._claimed)
        if account.on_hold or wanted <= 0:
            return False
        closed = account.breaker_open_until is None
        claims = claim_due(account=account, batch=wanted) if closed else self._claim_try()
        self._waiting.extend(claims)
        self._claimed += len(claims)
        return True

    def _claim_try(self) -> list[Claim]:
        """The breaker is open: claim the one refund that may find out whether the gateway is back."""
        until = self._account.breaker_open_until
        if until is not None and until > clock.database_now():
            return []
        claims = claim_due(account=self._account, batch=1, unknown_first=True)
        if claims and not take_try(self._account, now=clock.database_now()):
            give_back(claims, seconds=1)
            return []
        return claims

    def _launch(self) -> int:
        wanted = min(self._concurrency - len(self._flying), len(self._waiting))
        started = begin_attempts([self._waiting.popleft() for _n in range(wanted)])
        self._held_back = self._held_back or len(started) < wanted
        refuse_inside_transaction()  # the threads have connections of their own, so they would not notice
        for kind in SlotKind:
            of_kind = [item for item in started if (item.call.purpose in READS) == (kind == SlotKind.READ)]
            for item, delay in zip(of_kind, take_slots(self._account, kind, len(of_kind)), strict=True):
                self._flying[_threads(self._concurrency).submit(_call_in_thread, item, delay)] = item
        return len(started)

    def _record(self, done: set[Future[GatewayAnswer | None]]) -> bool:
        """Record what was answered; tell whether the account must be left alone now."""
        if not done:
            return False
        answered = [(self._flying.pop(future), future.result()) for future in done]
        _record_surely([Told(item.refund_id, answer, item.call) for item, answer in answered])
        if self._held_back:
            wake_siblings([item.refund_id for item, _answer in answered])
        answers = [answer for _item, answer in answered if answer is None or answer.code not in OUR_OWN]
        if note_answers(self._account, answers, now=clock.database_now()):
            wake_account(self._account.pk)
        for item, answer in answered:
            if answer is not None and answer.retry_after_seconds and answer.code == "rate_limit":
                kind = SlotKind.READ if item.call.purpose in READS else SlotKind.SEND
                push_back(self._account, kind, seconds=min(answer.retry_after_seconds, settings().retry_max_seconds))
        self._account.refresh_from_db(fields=["on_hold", "breaker_open_until"])
        return self._account.on_hold or self._account.breaker_open_until is not None


def call_gateway(started: Started, delay_seconds: float = 0.0) -> GatewayAnswer | None:
    """Make one call at its instant; None means that a complete listing does not have our refund."""
    refuse_inside_transaction()
    if time.monotonic() + delay_seconds >= started.deadline:  # said while the lease still holds, so it is believed
        return GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="lease_over", retry_after_seconds=delay_seconds)
    if delay_seconds > 0:
        time.sleep(delay_seconds)
    if time.monotonic() >= started.deadline:
        logger.warning("the worker slept past its lease on refund %s, so nothing was sent", started.refund_id)
        return GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="lease_over")
    gateway, command, purpose = started.gateway, started.command, started.call.purpose
    try:
        if purpose == AttemptPurpose.RETRIEVE:
            return gateway.retrieve(started.gateway_refund_id)
        if purpose == AttemptPurpose.LIST:
            return gateway.find(gateway_payment_id=command.gateway_payment_id, refund_id=command.refund_id, operation=command.operation)
        if purpose == AttemptPurpose.BURN:
            return gateway.burn(command, started.captured)
        return gateway.refund(command)
    except Exception as error:  # a defect in an adapter must read as "nobody knows", never as "failed"
        logger.exception("gateway %s broke during %s", gateway.kind, purpose)
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="adapter_error", message=type(error).__name__)


def _call_in_thread(started: Started, delay_seconds: float) -> GatewayAnswer | None:
    """Make one call and keep no connection: an adapter may have asked the database, and the thread outlives a restart of it."""
    try:
        return call_gateway(started, delay_seconds)
    finally:
        connections.close_all()


def _record_surely(told: Sequence[Told]) -> None:
    """Record answers together; where that fails, one by one, so that one bad row does not take the others with it.

    What cannot be recorded is not lost: its lease ends, and the gateway is asked again.
    """
    for tries in range(RECORD_TRIES):
        try:
            record_answers(told, now=clock.now())
            return
        except (OperationalError, InterfaceError) as error:  # a deadlock, or the database was restarted
            logger.warning("recording %d answers failed (%s), try %d", len(told), type(error).__name__, tries + 1)
            close_old_connections()
        except Exception:
            if len(told) == 1:
                logger.exception("the answer for refund %s cannot be recorded; its lease will end", told[0].refund_id)
                return
            break
    if len(told) > 1:
        for item in told:
            _record_surely([item])


def _threads(count: int) -> ThreadPoolExecutor:
    global _pool
    if _pool is None or _pool._max_workers < count:
        _pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="refunds-gateway")
    return _pool


def _forget_threads() -> None:
    global _pool
    _pool = None  # a forked process has none of its parent's threads


os.register_at_fork(after_in_child=_forget_threads)
