"""How many purchase lines one core can judge by a policy of 50 clauses, with the whole answer in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

from refund_plugin.localize import Formatter
from refund_plugin.rules import (
    EVERYTHING,
    Clause,
    LineFacts,
    MoneyBack,
    NonRefundable,
    PolicyDocument,
    ProRated,
    Selector,
    UnusedOnly,
    dump_document,
    evaluate,
    explain_line,
    load_document,
)
from tests.bench.figures import Row, at_least, at_most, percentile, time_each

CLAUSES = 50
ROUNDS = 60
LANGUAGE = Formatter("en", "Europe/Berlin")
NOW = datetime(2026, 3, 9, 13, 2, 11, tzinfo=UTC)


def policy() -> PolicyDocument:
    """Return a policy of every kind of clause, as a large shop might grow it: by product type, by tag and by price."""
    document = PolicyDocument((*_special_clauses(), MoneyBack(anchor="guarantee", window_days=60)), {"EUR": 50_000})
    return load_document(dump_document(document))


def _special_clauses() -> Iterator[Clause]:
    for number in range(CLAUSES - 1):
        selector = Selector(product_types=frozenset({f"type-{number}", f"type-{number + 100}"}))
        if number % 2:
            selector = Selector(tags=frozenset({f"tag-{number}"}), price_from_minor=100 * number)
        match number % 4:
            case 0:
                # every second of these concerns all products, so that many clauses are weighed and missed
                yield UnusedOnly(anchor=f"unused-{number}", window_days=14 + number, selector=selector if number % 8 else EVERYTHING)
            case 1:
                yield MoneyBack(anchor=f"back-{number}", window_days=14 + number, selector=selector)
            case 2:
                yield ProRated(anchor=f"share-{number}", by="day" if number % 3 else "unit", selector=selector)
            case _:
                yield NonRefundable(anchor=f"final-{number}", selector=selector, reason="Sold at a final discount.")


def lines() -> list[LineFacts]:
    """Return lines that the policy decides at its first clause, at its last, and anywhere between."""
    found = []
    for downloads, days, (product_type, tag) in product(
        (0, 1, 3), (0, 3, 25, 40, 90), (("ebook", ""), ("type-18", ""), ("type-46", ""), ("font", "tag-23"), ("course", "tag-45"))
    ):
        bought = NOW - timedelta(days=days)
        found.append(
            LineFacts(
                line_id="1",
                currency="EUR",
                paid_minor=4820,
                purchased_at=bought,
                now=NOW,
                timezone="Europe/Berlin",
                sku="SKU-1",
                product_type=product_type,
                tags=frozenset({tag} - {""}),
                channel="web",
                country="DE",
                buyer_kind="consumer",
                nature="content",
                term_start=bought,
                term_end=bought + timedelta(days=365),
                units_granted=12,
                units_used=3,
                downloads=downloads,
                last_access_at=NOW if downloads else None,
            )
        )
    return found


def measure() -> list[Row]:
    """Return the rows of the engine."""
    document = policy()

    def decide(facts: LineFacts) -> object:
        return evaluate(document, facts)

    def decide_and_explain(facts: LineFacts) -> object:
        verdict = evaluate(document, facts)
        return verdict.as_json(), explain_line(verdict, document, facts, LANGUAGE)

    alone, whole = _time(decide), _time(decide_and_explain)
    name = f"A decision by {CLAUSES} clauses with verdict and explanation"
    return [
        at_least(f"{name}, per core", 1000 * len(whole) / sum(whole), 5000, "/s"),
        at_most(f"{name}, p95", percentile(whole, 95), 1, "ms", 3),
        Row("  p50", f"{percentile(whole, 50):.3f} ms"),
        Row("  the decision alone, per core", f"{1000 * len(alone) / sum(alone):,.0f} /s"),
    ]


def _time(work: Callable[[LineFacts], object]) -> list[float]:
    calls = [lambda facts=facts: work(facts) for facts in lines()]
    time_each(calls)  # fills the caches that a server fills once
    # Nothing here waits, so the processor's time is what it takes, however busy the machine is with other things.
    return [taken for _round in range(ROUNDS) for taken in time_each(calls, time.thread_time_ns)]
