"""The table: every row, its words, and the module that shows it. A module is loaded when Django is set up."""

from __future__ import annotations

from importlib import import_module

from tests.faults.figures import Row

_ROWS = (
    ("lost-answers", "10,000 refunds, 30 % of answers dropped after commit", "0 paid twice, 0 lost", "lost_answers"),
    ("kills", "SIGKILL of a worker at every boundary, 100 rounds each", "exactly one gateway refund each", "kills"),
    (
        "two-payments",
        "two requests racing for one line of two payments",
        "the line is paid once",
        "races:one_line_of_two_payments",
    ),
    (
        "dashboard",
        "refund in the gateway's dashboard beside ours",
        "`over` true, nothing unsent goes out, alert",
        "dashboard",
    ),
    ("clients", "64 clients racing for one payment", "refunded + reserved <= captured", "races:many_clients_of_one_payment"),
    ("machine", "state machine, 10,000 examples x 50 steps", "no violation", "machine"),
    ("search", "exhaustive search of the protocol's states", "whole space visited, no violation", "machine:search"),
    ("recovery", "unknown outcomes, gateway healthy again", "99 % within 60 s, all within 5 min", "unknown:recovered"),
    ("old-unknown", "unknown outcome older than the key's memory", "resolved by listing, 0 blind resends", "unknown:older_than_the_key"),
    ("flush", "broker flushed with 1,000 waiting", "all driven again within 60 s", "broker:flushed"),
    ("worker-killed", "whole worker killed", "its work resumed within 30 s", "broker:worker_killed"),
    ("webhook-orders", "webhooks five times each, shuffled, 1,000 permutations", "same end state", "webhook_permutations"),
    ("no-webhooks", "webhooks that never come", "same end state", "webhooks:never_come"),
    ("rate-limited", "50 % of calls answered 429", "0 ended as failed", "rate_limit"),
    ("database", "PostgreSQL restarted mid-batch; deadlocks forced", "0 lost, 0 twice", "database"),
    ("clocks", "clock one hour off; a lease holder that wakes late", "0 writes pass", "clocks"),
    ("brake", "5,000 eligible requests in an hour, wrong policy", "paid <= the brake, all acknowledged", "brake"),
    ("transactions", "a gateway call with a transaction open", "0 (instrumented)", "counted:calls_in_transactions"),
    ("ledger", "ledger after every run above", "debits = credits", "counted:ledger"),
)
NAMES = tuple(name for name, _title, _must, _module in _ROWS)


def rows() -> list[Row]:
    """Return all rows in the order of the table."""
    found = []
    for name, title, must, place in _ROWS:
        module, _, function = place.partition(":")
        found.append(Row(name, title, must, getattr(import_module(f"tests.faults.rows.{module}"), function or "run")))
    return found
