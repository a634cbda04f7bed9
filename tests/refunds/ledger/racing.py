"""Threads that start at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

Job = TypeVar("Job")
Result = TypeVar("Result")
THREADS = 6


def race(do: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """Do the jobs in threads that begin together; return their results, or raise what one of them raised."""
    start = threading.Barrier(THREADS)

    def work(share: Sequence[Job]) -> list[Result]:
        try:
            start.wait()
            return [do(job) for job in share]
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        shares = [pool.submit(work, jobs[number::THREADS]) for number in range(THREADS)]
        return [result for share in shares for result in share.result()]
