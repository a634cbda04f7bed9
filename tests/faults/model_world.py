"""What the searched protocol consists of, and the steps that may come next; see `model_search.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from refund_plugin.refunds.states import DRIVEN, OVER, RefundState
from tests.faults.model_protocol import ABSENT, FRESH, KEPT_NO, KNOWN, NO_ANSWER, OLD, STALE, STORED_ERROR, Ours, Protocol

RESERVED = RefundState.RESERVED.value
PROCESSING = RefundState.PROCESSING.value
PENDING = RefundState.PENDING.value
SUCCEEDED = RefundState.SUCCEEDED.value
FAILED = RefundState.FAILED.value
MANUAL_CLAIMED = RefundState.MANUAL_CLAIMED.value
MANUAL_PAID = RefundState.MANUAL_PAID.value
ENDED = OVER | {RefundState.SUCCEEDED, RefundState.MANUAL_PAID}
READS = ("retrieve", "list")
FACTS = ("pending", "succeeded", "failed")
FREE, LIVE, EXPIRED = range(3)  # a lease


class Row(NamedTuple):
    """One refund: our row of it, what the gateway has of it, and what is on its way between us."""

    ours: Ours = Ours()
    lease: int = FREE
    in_flight: str = ""  # purpose of the attempt that is not ended
    over: bool = False  # more has gone from the payment than was captured
    # the gateway
    key: str = ""  # what is answered under its key: the first answer, or "burnt"
    key_is_old: bool = False  # the gateway may forget it
    paid: str = ""  # the gateway's refund: "pending", "succeeded" or "failed"
    listed: bool = False
    # on the way
    late: int = 0  # requests whose senders wait no longer
    webhooks: frozenset[str] = frozenset()
    flaw: str = ""  # what must never happen

    @property
    def state(self) -> str:
        """Our state of the refund."""
        return self.ours.state


class Worker(NamedTuple):
    """A worker that is busy with a refund, at the last thing it did: "claimed", "begun" or "answered"."""

    step: str
    purpose: str = ""
    answer: str = ""
    holds: bool = True  # its fence is the refund's
    is_news: bool = True  # the refund has not come to an end since its call began
    is_recent: bool = True  # it began less than ten minutes ago; only kept of a listing


class Part(NamedTuple):
    """A refund and the workers that are busy with it, in order: which worker it is makes no difference."""

    row: Row = Row()
    workers: tuple[Worker, ...] = ()


class Step(NamedTuple):
    """What may come next, and what is so after it.

    Attributes:
        faults: how many it takes, 0 or 1.
        ends_abandoned: the other refund's abandoned call is ended, too.
    """

    name: str
    faults: int
    after: Part
    ends_abandoned: bool = False


class Model:
    """The steps that may come next for one refund and its workers."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    def steps(self, part: Part, *, worker_is_free: bool, is_busy: bool) -> Iterator[Step]:
        """Return everything that may come next.

        Args:
            is_busy: a call about another refund of the payment is in flight.
        """
        row, workers = part
        if worker_is_free:
            yield from self._claim(part)
        for place, worker in enumerate(workers):
            if worker not in workers[:place]:
                others = workers[:place] + workers[place + 1 :]
                yield from self._work(row, worker, others, is_busy=is_busy)
                yield from self._misfortune(row, worker, others)
        yield from self._gateway(part)
        yield from self._time(part)
        for name, faults, after in self._people(row):
            yield Step(name, faults, Part(after, workers))

    # workers

    def _claim(self, part: Part) -> Iterator[Step]:
        row, workers = part
        ours = row.ours
        if ours.state not in DRIVEN or row.lease == LIVE or ours.waits or ours.stopped:
            return
        if row.lease == EXPIRED:
            if ours.state == PROCESSING:
                ours = self._expire(ours, sent=bool(row.in_flight) and row.in_flight not in READS)
            workers = tuple(worker._replace(holds=False) for worker in workers)
        ours = ours._replace(state=self._after(ours, "claimed"))
        row = row._replace(ours=ours, lease=LIVE, in_flight="")
        yield Step("a worker claims it", 0, Part(row, (*workers, Worker("claimed"))))

    def _expire(self, ours: Ours, *, sent: bool) -> Ours:
        state = self._after(ours, "maybe_executed" if sent else "not_executed")
        return ours._replace(state=state, maybe_executed=ours.maybe_executed or sent)

    def _after(self, ours: Ours, event: str) -> str:
        return self.protocol.after(ours.state, event, maybe_executed=ours.maybe_executed)

    def _work(self, row: Row, worker: Worker, others: tuple[Worker, ...], *, is_busy: bool) -> Iterator[Step]:
        if worker.step == "claimed":
            yield self._begin(row, worker, others, is_busy=is_busy)
        elif worker.step == "begun":
            for after, answer in self._call(row, worker.purpose):
                answered = worker._replace(step="answered", answer=answer)
                yield Step(f"the gateway answers the {worker.purpose}: {answer}", 0, Part(after, (*others, answered)))
        else:
            yield Step(f"a worker records {worker.answer}", 0, self._record(row, worker, others))

    def _begin(self, row: Row, worker: Worker, others: tuple[Worker, ...], *, is_busy: bool) -> Step:
        if not worker.holds or row.lease != LIVE or row.state not in DRIVEN:
            return Step("a worker that lost its claim gives up", 0, Part(row, others))
        purpose, ours = ("", row.ours) if is_busy else self.protocol.begin(row.ours, row.over)
        if not purpose:
            ours = ours._replace(state=self._after(ours, "not_executed"))
            return Step("a worker gives it back", 0, Part(row._replace(ours=ours, lease=FREE), others), ends_abandoned=is_busy)
        flaw = "it was sent although more has gone than was captured" if purpose == "send" and row.over else ""
        begun = row._replace(ours=ours, in_flight=purpose, flaw=flaw)
        return Step(f"a worker begins to {purpose}", 0, Part(begun, (*others, worker._replace(step="begun", purpose=purpose))))

    def _call(self, row: Row, purpose: str) -> Iterator[tuple[Row, str]]:
        """Return what the gateway may do and answer."""
        if purpose == "retrieve":
            yield row, row.paid
        elif purpose == "list":
            yield row, row.paid if row.listed else ABSENT
        elif purpose == "burn":
            yield (row._replace(key="burnt", key_is_old=False), "key_burnt") if row.key in ("", "burnt") else (row, "key_known")
        else:
            yield row, "not_executed"
            yield from self._execute(row)

    def _execute(self, row: Row) -> Iterator[tuple[Row, str]]:
        """A request to refund arrives at the gateway."""
        if row.key:
            yield row, {"burnt": NO_ANSWER, "definitive_no": KEPT_NO}.get(row.key, row.key)
            return
        yield row, "definitive_no"  # which the gateway does not keep
        yield row._replace(key="definitive_no", key_is_old=False), "definitive_no"
        for status in ("pending", "succeeded"):
            yield self._pay(row, status, key=status), status

    def _break(self, row: Row) -> Iterator[tuple[Row, str]]:
        """A request to refund arrives, and the gateway breaks before or after it paid, and keeps the error under the key."""
        if not row.key:
            yield row._replace(key=STORED_ERROR, key_is_old=False), "before it paid"
            yield self._pay(row, "succeeded", key=STORED_ERROR), "after it paid"

    def _pay(self, row: Row, status: str, *, key: str) -> Row:
        flaw = "one refund became two at the gateway" if row.paid else ""
        return row._replace(key=key, key_is_old=False, paid=status, listed=False, webhooks=row.webhooks | {status}, flaw=flaw)

    def _record(self, row: Row, worker: Worker, others: tuple[Worker, ...]) -> Part:
        ours = self.protocol.record(row.ours, worker.purpose, worker.answer, worker.holds, worker.is_news, worker.is_recent)
        if worker.holds:
            row = row._replace(lease=FREE, in_flight="")
        return self._learn(row, ours, others, is_news=worker.is_news)

    def _learn(self, row: Row, ours: Ours, workers: tuple[Worker, ...], *, is_news: bool) -> Part:
        """Our row becomes `ours`, because of something that was told before or after the refund came to an end."""
        if row.state in OVER and ours.state not in OVER and row.ours.named and row.paid == "failed" and not is_news:
            row = row._replace(flaw="a failure that was known was undone by what was told before it")
        if row.state not in OVER and ours.state in OVER:
            workers = tuple(worker if worker.step == "claimed" else worker._replace(is_news=False) for worker in workers)
        return Part(row._replace(ours=ours), workers)

    def _misfortune(self, row: Row, worker: Worker, others: tuple[Worker, ...]) -> Iterator[Step]:
        holds = worker.holds and row.lease == LIVE
        left = row._replace(lease=EXPIRED) if holds else row
        yield Step(f"a worker is killed ({worker.step})", 1, Part(left, others))
        if holds:
            yield Step("the lease expires while its worker sleeps", 1, Part(left, (*others, worker)))
        if worker.step != "begun":
            return
        deaf = (*others, worker._replace(step="answered", answer=NO_ANSWER))
        yield Step(f"the {worker.purpose} is lost on its way", 1, Part(row, deaf))
        if worker.purpose in READS:
            return
        for after, answer in self._call(row, "burn") if worker.purpose == "burn" else self._execute(row):
            yield Step(f"the answer to the {worker.purpose} is lost: {answer}", 1, Part(after, deaf))
        if worker.purpose != "burn":
            yield Step(f"the {worker.purpose} is late", 1, Part(row._replace(late=row.late + 1), deaf))
            yield Step(f"a worker is killed while its {worker.purpose} is late", 1, Part(left._replace(late=row.late + 1), others))
            for after, when in self._break(row):
                yield Step(f"the gateway breaks {when}", 1, Part(after, deaf))

    # the gateway

    def _gateway(self, part: Part) -> Iterator[Step]:
        row, workers = part
        for name, faults, after in self._banks(row):
            yield Step(name, faults, Part(after, workers))
        for status in sorted(row.webhooks):
            told = self._learn(row, self.protocol.tell(row.ours, status, False), workers, is_news=False)
            fewer = row.webhooks - {status}
            yield Step(f"a webhook tells {status}", 0, told._replace(row=told.row._replace(webhooks=fewer)))
            yield Step(f"a webhook tells {status}, and will again", 1, told)
            yield Step(f"a webhook that tells {status} is lost", 1, Part(row._replace(webhooks=fewer), workers))
        if row.paid and row.state in ENDED:
            told = self._learn(row, self.protocol.tell(row.ours, row.paid, True), workers, is_news=True)
            yield Step("it is compared with the gateway", 0, told)

    def _banks(self, row: Row) -> Iterator[tuple[str, int, Row]]:
        if row.late:
            fewer = row._replace(late=row.late - 1)
            for after, answer in self._execute(fewer):
                yield f"a late request arrives: {answer}", 0, after
            for after, when in self._break(fewer):
                yield f"a late request arrives, and the gateway breaks {when}", 1, after
        if row.paid == "pending":
            for status in ("succeeded", "failed"):
                yield f"the bank says {status}", 0, row._replace(paid=status, webhooks=row.webhooks | {status})
        if row.paid == "succeeded":
            yield "the bank returns it", 1, row._replace(paid="failed", webhooks=row.webhooks | {"failed"})
        if row.paid and not row.listed:
            yield "the listing catches up", 0, row._replace(listed=True)
        if row.key_is_old:
            yield "the gateway forgets the key", 0, row._replace(key="", key_is_old=False)

    # people and time

    def _people(self, row: Row) -> Iterator[tuple[str, int, Row]]:
        ours = row.ours
        if ours.state == RESERVED and not ours.maybe_executed and row.lease == FREE:
            yield from self._does(row, "it is canceled", 0, "cancel")
            yield from self._does(row, "a person claims it", 1, "person_claims")
        if ours.state in DRIVEN and not row.over:
            yield "somebody refunds in the gateway's dashboard", 1, row._replace(over=True)
        if row.over or ours.stopped:
            yield "a person has looked and lets it go on", 0, row._replace(over=False, ours=ours._replace(stopped=False))
        if ours.state == MANUAL_CLAIMED:
            yield from self._does(row, "a person proves that it is paid", 0, "proof_given")
            yield from self._does(row, "a person releases it", 0, "person_releases")
        if ours.state == MANUAL_PAID:
            yield from self._does(row, "the payment by hand bounces", 1, "person_releases")

    def _does(self, row: Row, name: str, faults: int, event: str) -> Iterator[tuple[str, int, Row]]:
        ours = self.protocol.happens(row.ours, event)
        if ours is not None:
            yield name, faults, row._replace(ours=ours)

    def _time(self, part: Part) -> Iterator[Step]:
        (row, workers), ours = part, part.row.ours
        later = ours._replace(waits=False, **{name: STALE for name in ("listed", "absent", "key_known") if getattr(ours, name) == FRESH})
        older = tuple(worker._replace(is_recent=False) if worker.purpose == "list" else worker for worker in workers)
        if later != ours or older != workers:
            yield Step("ten minutes pass", 0, Part(row._replace(ours=later, listed=bool(row.paid)), older))
        for age, name in ((KNOWN, "twenty hours pass"), (OLD, "twenty-two hours pass")):
            if ours.age == age - 1:
                yield Step(name, 0, Part(row._replace(ours=ours._replace(age=age)), workers))
        if row.key and not row.key_is_old and row.lease != LIVE and not is_sending(part):
            row = row._replace(ours=later._replace(age=OLD), key_is_old=True, listed=bool(row.paid))
            yield Step("a day passes", 0, Part(row, older))


def is_sending(part: Part) -> bool:
    """Tell whether a request that may pay is on its way, or about to be."""
    return part.row.late > 0 or any(worker.step == "begun" and worker.purpose not in READS for worker in part.workers)
