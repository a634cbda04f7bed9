"""What is counted over all rows."""

from __future__ import annotations

from tests.faults.figures import Figure, Size, judged
from tests.faults.rows import lost_answers
from tests.faults.world import World


def calls_in_transactions(world: World, size: Size) -> Figure:
    """Count the calls that any process of any row made while it had a transaction open."""
    if not world.counted_calls()[0]:
        lost_answers.run(world, Size.SHORT)
    calls, inside = world.counted_calls()
    return judged(f"{inside} of {calls:,} calls", f"{inside} calls were made with a transaction open" if inside else "")


def ledger(world: World, size: Size) -> Figure:
    """Add up what the comparison after each row found in the ledger."""
    if not world.ledgers:
        lost_answers.run(world, Size.SHORT)
    movements = sum(count for count, _problems in world.ledgers)
    problems = [problem for _count, found in world.ledgers for problem in found]
    text = f"{len(problems)} differences in {movements:,} movements, {len(world.ledgers)} ledgers"
    return judged(text, *problems, "" if movements else "nothing was booked")
