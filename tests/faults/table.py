"""The table: every row, its words, and the module that shows it. A module is loaded when Django is set up."""

from __future__ import annotations

from importlib import import_module

from tests.faults.figures import Row

_ROWS = (("lost-answers", "10,000 refunds, 30 % of answers dropped after commit", "0 paid twice, 0 lost", "lost_answers"),)
NAMES = tuple(name for name, _title, _must, _module in _ROWS)


def rows() -> list[Row]:
    """Return all rows in the order of the table."""
    found = []
    for name, title, must, place in _ROWS:
        module, _, function = place.partition(":")
        found.append(Row(name, title, must, getattr(import_module(f"tests.faults.rows.{module}"), function or "run")))
    return found
