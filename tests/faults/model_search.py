"""Breadth-first search of every state that the protocol of one debt can reach.

The world of the model: one debt to a customer with a refund and its successor, two workers, one gateway that remembers keys, a
listing that may lag, a network that may lose or delay what it carries, and webhooks in any order. Where nothing else is said, any
step may come next, so a worker may sleep for as long as the others like. What the product decides is asked of the product
(`Protocol`): a change of the table of transitions, or of which call comes next, changes what this search finds.

Faults are counted: a world is kept with the smallest number of faults that leads to it, and worlds are visited in that order.
Time is what has passed since the first sending (the hours in which a key is replayed), and whether the gateway may have forgotten a
key. The model assumes, as the product does, that

- nothing is about to be sent for as long as lies between these hours (20, or 22 where the gateway has shown that it knows the key)
  and the gateway's own 24;
- a gateway that refuses a refund keeps the refusal under the key, or would refuse it again;
- a listing that is read ten minutes after another one shows everything that existed at the time of the first.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser

FAULTS = 3


def main() -> int:
    """Search with the product's own decisions and print what was found; the exit status is 1 when something must never be."""
    parser = ArgumentParser(prog="python -m tests.faults.model_search", description=main.__doc__)
    parser.add_argument("--faults", type=int, default=FAULTS, help="at most so many (%(default)s)")
    options = parser.parse_args()

    import django

    django.setup()

    from tests.faults.model_protocol import Protocol
    from tests.faults.model_space import search

    found = search(Protocol(), faults=options.faults)
    print(found)
    return 1 if found.violation else 0


if __name__ == "__main__":
    sys.exit(main())
