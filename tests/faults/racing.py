"""Several clients at the same moment, each with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import connections

from refund_plugin.errors import RefundPluginError

Result = TypeVar("Result")


def race(calls: Sequence[Callable[[], Result]]) -> list[Result | RefundPluginError]:
    """Make all calls at once and return what each returned, or how it was refused.

    Raises:
        Exception: what a call raised that is no refusal.
    """
    results: list[Result | RefundPluginError | None] = [None] * len(calls)
    broken: list[BaseException] = []
    start = threading.Barrier(len(calls))

    def run(index: int) -> None:
        try:
            connections["default"].ensure_connection()
            start.wait(timeout=60)
            results[index] = calls[index]()
        except RefundPluginError as refusal:
            results[index] = refusal
        except BaseException as error:
            broken.append(error)
            start.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return [result for result in results if result is not None]
