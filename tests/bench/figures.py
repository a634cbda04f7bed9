"""What the measurements have in common: the machine, the statistics and the printed table."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

NAME_WIDTH, AIM_WIDTH, FIGURE_WIDTH = 58, 16, 14


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure; `met` is None where there is no aim."""

    name: str
    figure: str
    aim: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return f"{self.name:<{NAME_WIDTH}}{self.aim:>{AIM_WIDTH}}{self.figure:>{FIGURE_WIDTH}}  {verdict}".rstrip()


def header() -> str:
    """Return the table's first line."""
    return f"{'':<{NAME_WIDTH}}{'aim':>{AIM_WIDTH}}{'measured':>{FIGURE_WIDTH}}"


def at_most(name: str, value: float, aim: float, unit: str, digits: int = 2) -> Row:
    """Return a row whose figure should not exceed its aim."""
    return Row(name, f"{value:.{digits}f} {unit}".strip(), f"<= {aim:g} {unit}".strip(), value <= aim)


def at_least(name: str, value: float, aim: float, unit: str, digits: int = 0) -> Row:
    """Return a row whose figure should reach its aim."""
    return Row(name, f"{value:,.{digits}f} {unit}", f">= {aim:,.0f} {unit}", value >= aim)


def below(name: str, value: float, aim: float, unit: str, digits: int = 2) -> Row:
    """Return a row whose figure should stay below its aim."""
    return Row(name, f"{value:.{digits}f} {unit}".strip(), f"< {aim:g} {unit}".strip(), value < aim)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def time_each(calls: Iterable[Callable[[], object]], clock: Callable[[], int] = time.perf_counter_ns) -> list[float]:
    """Return how long each call took, in milliseconds.

    Args:
        clock: nanoseconds; `time.thread_time_ns` counts only what the processor did for us, not what it did for others.
    """
    taken = []
    for call in calls:
        started = clock()
        call()
        taken.append((clock() - started) / 1e6)
    return taken


def machine() -> str:
    """Name the machine and what runs on it."""
    load = os.getloadavg()[0]
    return "\n".join(
        (
            f"Machine   {_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}",
            f"Software  Python {platform.python_version()}, Django {version('Django')}, Wagtail {version('wagtail')}, "
            f"Celery {version('celery')}",
            f"Load      {load:.2f} before the first measurement" + (" (busy: the figures will be worse)" if load > 0.5 else ""),
        )
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES") / 2**30
