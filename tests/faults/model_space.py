"""The whole space of the searched protocol: worlds, what must never be in them, and the search; see `model_search.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from time import perf_counter

from refund_plugin.refunds.states import DRIVEN
from tests.faults.model_protocol import ABSENT, OLD, Ours, Protocol, without_database
from tests.faults.model_world import (
    ENDED,
    EXPIRED,
    FACTS,
    FAILED,
    FREE,
    LIVE,
    MANUAL_CLAIMED,
    MANUAL_PAID,
    PENDING,
    SUCCEEDED,
    Model,
    Part,
    Row,
    Worker,
    is_sending,
)

WORKERS = 2


class Reduction:
    """Finds one part that stands for all that only differ in what nothing will ever read.

    What has no effect (a late answer, an old webhook) is taken out once the product says so, not because we think so.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    def __call__(self, part: Part) -> Part:
        """Return the part that stands for this one."""
        row, workers = part
        if row.ours.named and (row.state in ENDED or row.state == PENDING):
            told = (status for status in row.webhooks if self.protocol.tell(row.ours, status, False) != row.ours)
            row = row._replace(webhooks=frozenset(told))
        kept = []
        for worker in workers:
            if self._goes_on(row, worker):
                kept.append(self._of_interest(worker))
            elif worker.holds and worker.step == "answered":
                row = row._replace(lease=FREE, in_flight="")
        if row.lease == LIVE and not any(worker.holds for worker in kept):
            row = row._replace(lease=EXPIRED)
        row = row._replace(late=min(row.late, 1))  # the first to arrive decides, the others are told the same
        if row.state in ENDED or (row.state == PENDING and row.ours.named):
            row = self._without_the_past(row, sending=is_sending(Part(row, tuple(kept))))
        return Part(row, tuple(sorted(kept)))

    def _goes_on(self, row: Row, worker: Worker) -> bool:
        """Tell whether a worker may still change anything."""
        if worker.step == "claimed":
            return worker.holds and row.lease == LIVE and row.state in DRIVEN
        if worker.step == "begun" or (worker.holds and row.state not in ENDED):
            return True
        return self.protocol.record(row.ours, worker.purpose, worker.answer, worker.holds, worker.is_news, worker.is_recent) != row.ours

    def _of_interest(self, worker: Worker) -> Worker:
        is_listing = worker.holds and worker.purpose == "list" and worker.answer in ("", ABSENT)
        is_fact = worker.step == "begun" or worker.answer in FACTS
        return worker._replace(is_recent=worker.is_recent or not is_listing, is_news=worker.is_news or not is_fact)

    def _without_the_past(self, row: Row, *, sending: bool) -> Row:
        ours = Ours(state=row.state, attempted=True, age=OLD, named=row.ours.named, stopped=row.ours.stopped and row.state == PENDING)
        row = row._replace(ours=ours, over=False, listed=bool(row.paid))
        if row.state in ENDED and row.lease == EXPIRED:  # nobody will claim it, and whoever needs the payment ends its call
            row = row._replace(lease=FREE, in_flight="")
        return row if sending else row._replace(key="", key_is_old=False)


Local = tuple[int, bool, str]  # the number of the part after a step, whether the other's abandoned call is ended, the step's name
World = int  # the number of the refund's part, and that of its successor's in the bits above it
BITS = 24
FIRST = (1 << BITS) - 1


class Space:
    """The worlds, each a pair of numbered parts, and the steps between them; what a part can do is worked out once."""

    def __init__(self, protocol: Protocol) -> None:
        self.model = Model(protocol)
        self.reduced = Reduction(protocol)
        self.parts: list[Part] = []
        self.numbers: dict[Part, int] = {}
        self.local = cache(self._local)
        self.without_abandoned = cache(self._without_abandoned)
        self.nobody = self.number(Part(Row(Ours(state=""))))
        self.start: World = self.number(Part())

    def number(self, part: Part) -> int:
        """Return a part's number."""
        part = self.reduced(part)
        number = self.numbers.setdefault(part, len(self.parts))
        if number == len(self.parts):
            self.parts.append(part)
        return number

    def _local(self, number: int, worker_is_free: bool, is_busy: bool) -> tuple[list[Local], list[Local]]:
        """Return a part's steps that take no fault, and those that take one."""
        if number == self.nobody:
            return [], []
        steps = self.model.steps(self.parts[number], worker_is_free=worker_is_free, is_busy=is_busy)
        known = {(self.number(step.after), step.ends_abandoned, step.faults): step.name for step in steps}
        named = [((after, ends), faults, name) for (after, ends, faults), name in known.items() if after != number]
        return tuple([(*key, name) for key, faults, name in named if faults == wanted] for wanted in (0, 1))  # type: ignore[return-value]

    def _without_abandoned(self, number: int) -> int:
        row, workers = self.parts[number]
        if row.lease == EXPIRED and row.state not in DRIVEN:  # its worker died after somebody else had told how the refund ended
            return self.number(Part(row._replace(in_flight="", lease=FREE), workers))
        return number

    def steps(self, world: World, faults: int) -> list[tuple[World, str]]:
        """Return every step from a world that takes this many faults, 0 or 1: the world after it and its name."""
        first, second = world & FIRST, world >> BITS
        one, other = self.parts[first], self.parts[second]
        worker_is_free = len(one.workers) + len(other.workers) < WORKERS
        found = [
            (after | (self.without_abandoned(second) if ends else second) << BITS, name)
            for after, ends, name in self.local(first, worker_is_free, bool(other.row.in_flight))[faults]
        ]
        found += [
            ((self.without_abandoned(first) if ends else first) | after << BITS, name)
            for after, ends, name in self.local(second, worker_is_free, bool(one.row.in_flight))[faults]
        ]
        if not faults and second == self.nobody and one.row.state == FAILED:
            found.append((first | self.start << BITS, "a successor is made"))
        return found

    def describe(self, world: World) -> str:
        """Return a world as text."""
        return "\n".join(str(self.parts[number]) for number in (world & FIRST, world >> BITS) if number != self.nobody)

    def wrong(self, world: World) -> str:
        """Return what must never be, or nothing."""
        rows = self.parts[world & FIRST].row, self.parts[world >> BITS].row
        for row in rows:
            if row.flaw:
                return row.flaw
            if row.state == SUCCEEDED and row.paid not in ("succeeded", "failed"):
                return "our row says refunded, and the gateway has paid nothing"
        by_gateway = sum(row.paid in ("pending", "succeeded") for row in rows)
        by_hand = sum(row.state in (MANUAL_CLAIMED, MANUAL_PAID) for row in rows)
        return "one debt was paid twice" if by_gateway + by_hand > 1 else ""

    def is_settled(self, world: World) -> bool:
        """Tell whether all has come to an end, and ours agrees with the gateway's."""
        return self._ended(world & FIRST) and (world >> BITS == self.nobody or self._ended(world >> BITS))

    def _ended(self, number: int) -> bool:
        row, workers = self.parts[number]
        agrees = row.paid != "pending" and (row.paid == "succeeded") == (row.state == SUCCEEDED)
        return row.state in ENDED and agrees and not (workers or row.late or row.webhooks)


@dataclass(frozen=True)
class Violation:
    """What went wrong, and the shortest way there."""

    what: str
    steps: tuple[str, ...]
    world: str

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {number}. {step}" for number, step in enumerate(self.steps, 1)), self.world])


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Attributes:
        by_faults: how many states need 0, 1, 2 … faults.
        violation: None when the whole space was visited and nothing wrong was found.
    """

    by_faults: tuple[int, ...]
    steps: int
    violation: Violation | None
    seconds: float

    @property
    def states(self) -> int:
        """How many states were visited."""
        return sum(self.by_faults)

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} at {faults}" for faults, count in enumerate(self.by_faults))
        end = "whole space visited, no violation" if self.violation is None else str(self.violation)
        return f"{self.states:,} states ({counts} faults), {self.steps:,} steps, {self.seconds:.0f} s: {end}"


def search(protocol: Protocol, *, faults: int) -> Found:
    """Visit every state that at most `faults` faults can reach, the fewest first; the first thing that must never be ends it."""
    with without_database():
        return _search(protocol, faults)


def _search(protocol: Protocol, faults: int) -> Found:
    started = perf_counter()
    space = Space(protocol)
    worlds: list[World] = []
    came_from: dict[World, World] = {}
    by_faults: list[int] = []
    steps = 0
    frontier = {space.start: -1}
    for used in range(faults + 1):
        place = len(worlds)
        for world in frontier.keys() - came_from.keys():
            came_from[world] = frontier[world]
            worlds.append(world)
        frontier = {}
        by_faults.append(-place)
        while place < len(worlds):
            world = worlds[place]
            place += 1
            if what := space.wrong(world):
                by_faults[-1] += place
                violation = Violation(what, _way_to(world, space, came_from), space.describe(world))
                return Found(tuple(by_faults), steps, violation, perf_counter() - started)
            for after, _name in space.steps(world, 0):
                steps += 1
                if after not in came_from:
                    came_from[after] = world
                    worlds.append(after)
            for after, _name in space.steps(world, 1) if used < faults else ():
                steps += 1
                if after not in came_from:
                    frontier.setdefault(after, world)
        by_faults[-1] += place
    stuck = _stuck(worlds, space)
    violation = stuck if stuck is None else Violation("nothing leads to an end", _way_to(stuck, space, came_from), space.describe(stuck))
    return Found(tuple(by_faults), steps, violation, perf_counter() - started)


def _stuck(worlds: list[World], space: Space) -> World | None:
    """Return a world from which no steps without a fault lead to an end."""
    ends_well = {world for world in worlds if space.is_settled(world)}
    for start in reversed(worlds):
        path, seen = [], set()
        waiting = [] if start in ends_well else [iter([start])]
        while waiting:
            world = next(waiting[-1], None)
            if world is None:
                waiting.pop()
                if path:
                    path.pop()
            elif world in ends_well:
                ends_well.update(path)
                break
            elif world not in seen:
                seen.add(world)
                path.append(world)
                waiting.append(iter([after for after, _name in space.steps(world, 0)]))
        else:
            if start not in ends_well:
                return start
    return None


def _way_to(world: World, space: Space, came_from: dict[World, World]) -> tuple[str, ...]:
    names: list[str] = []
    while (parent := came_from[world]) >= 0:
        steps = space.steps(parent, 0) + space.steps(parent, 1)
        names.append(next(name for after, name in steps if after == world))
        world = parent
    return tuple(reversed(names))
