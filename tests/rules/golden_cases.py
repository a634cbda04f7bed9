"""What the golden files are made of: for each kind of clause a policy and lines that meet, miss and cannot tell its conditions.

`python -m tests.rules.golden_cases` writes the files that do not exist yet. A file that exists is never written again: it
holds what some earlier code decided, and today's code must decide the same.
"""

from __future__ import annotations

import json
from pathlib import Path

from refund_plugin.rules import (
    Clause,
    Defective,
    DuplicatePurchase,
    FactRule,
    Goodwill,
    LineFacts,
    MoneyBack,
    NonRefundable,
    ProRated,
    Selector,
    StatutoryWithdrawal,
    UnusedOnly,
    document_hash,
    dump_document,
    evaluate,
    verdict_bytes,
)
from tests.rules.building import BERLIN, at, line, policy

FOLDER = Path(__file__).parent / "golden"
EBOOKS = Selector(product_types=frozenset({"ebook"}), countries=frozenset({"DE", "AT"}), price_to_minor=5_000)
YEAR = {"term_start": at("2026-01-15", BERLIN), "term_end": at("2027-01-15", BERLIN), "paid_minor": 12_000}
LEAP = {"term_start": at("2028-01-31", BERLIN), "term_end": at("2029-01-31", BERLIN), "purchased_at": at("2028-01-31T09:00", BERLIN)}
LESSONS = {"units_granted": 12, "units_used": 3, "paid_minor": 2987}
PLACE = {"sku": "B-1", "product_type": "ebook", "country": "DE", "categories": frozenset({"new", "art"}), "tags": frozenset({"sale"})}


def everyday() -> list[LineFacts]:
    """Return lines in which every fact that the clauses read takes several values."""
    return [
        line(),
        line(**PLACE),
        line(**PLACE, downloads=1, last_access_at=at("2026-03-04T18:22", BERLIN)),
        line(downloads=3, share_viewed_percent=20, activations=1, last_access_at=at("2026-03-08T01:00", BERLIN)),
        line(downloads=None),
        line(share_viewed_percent=None, downloads=4),
        line(now=at("2026-04-02T23:59:59", BERLIN)),
        line(now=at("2026-04-03T00:00:00", BERLIN)),
        line(timezone="Pacific/Kiritimati", now=at("2026-04-02T23:59:59", "Pacific/Kiritimati")),
        line(**YEAR),
        line(**YEAR, now=at("2026-04-15T12:00", BERLIN)),
        line(**YEAR, now=at("2026-04-15T12:00", BERLIN), quantity=3, asked_quantity=1, refunded_quantity=1, refunded_minor=3_015),
        line(**YEAR, now=at("2027-01-15T00:00", BERLIN)),
        line(**LEAP, now=at("2028-02-29T23:30", BERLIN)),
        line(**LEAP, now=at("2028-03-01T00:30", BERLIN)),
        line(**LESSONS),
        line(**(LESSONS | {"currency": "JPY", "paid_minor": 1_201})),
        line(**(LESSONS | {"currency": "KWD", "paid_minor": 10_001, "units_used": 12})),
        line(**(LESSONS | {"units_used": 0}), quantity=2, asked_quantity=2),
        line(**(LESSONS | YEAR), now=at("2026-07-01T00:00", BERLIN)),
        line(refunded_minor=1820),
        line(paid_minor=0),
        line(paid_minor=90_000),
        line(buyer_kind="business", nature="service", country="US", channel="web"),
    ]


def special() -> list[LineFacts]:
    """Return lines with the facts that the clauses for cases of their own read."""
    lines = [
        line(earlier_purchase=False),
        line(earlier_purchase=True, earlier_purchase_at=at("2026-03-01T10:00", BERLIN)),
        line(earlier_purchase=True, earlier_purchase_at=at("2025-03-01T10:00", BERLIN)),
        line(earlier_purchase=True),
        line(fault_reported=True),
        line(fault_reported=True, now=at("2029-01-01T00:00", BERLIN)),
        line(fault_reported=False),
    ]
    for nature in ("content", "service", ""):
        for consent in (None, False, True):
            lines.append(line(nature=nature, consent_proven=consent))
            lines.append(line(nature=nature, consent_proven=consent, downloads=1, buyer_kind="consumer"))
            lines.append(line(nature=nature, consent_proven=consent, downloads=1, buyer_kind="business"))
            lines.append(line(nature=nature, consent_proven=consent, **LESSONS))
            lines.append(line(nature=nature, consent_proven=consent, units_granted=4, units_used=4))
    return lines


POLICIES: dict[str, tuple[tuple[Clause, ...], dict[str, int]]] = {
    "money_back": (
        (MoneyBack(anchor="half", window_days=14, percent=50, selector=EBOOKS, outcome="review"), MoneyBack(anchor="all", window_days=30)),
        {"EUR": 50_000},
    ),
    "unused_only": (
        (
            UnusedOnly(anchor="books", window_days=30, max_downloads=1, max_share_viewed_percent=10, selector=EBOOKS, title="Bücher"),
            UnusedOnly(anchor="rest", window_days=14, max_activations=1, percent=80),
        ),
        {},
    ),
    "pro_rated": (
        (
            ProRated(anchor="units", by="unit", fee_percent=10, selector=Selector(price_to_minor=3_000)),
            ProRated(anchor="second", by="second", percent=90, selector=Selector(countries=frozenset({"DE", "US"}))),
            ProRated(anchor="day", by="day", window_days=400),
        ),
        {"EUR": 11_000},
    ),
    "pro_rated_by_month_and_best": (
        (
            ProRated(anchor="month", by="month", fee_percent=5, selector=Selector(price_from_minor=10_000)),
            ProRated(anchor="best", by="best", requires=(FactRule("activations", "at_most", 1),)),
        ),
        {},
    ),
    "duplicate_purchase": ((DuplicatePurchase(anchor="twice", window_days=30, within_days=7, percent=90),), {}),
    "defective": ((Defective(anchor="faulty", evidence="A picture."), MoneyBack(anchor="back", window_days=3)), {}),
    "goodwill": ((Goodwill(anchor="books", percent=50, window_days=30, selector=EBOOKS), Goodwill(anchor="kind", percent=20)), {}),
    "statutory_withdrawal": ((StatutoryWithdrawal(anchor="law"), MoneyBack(anchor="half", window_days=30, percent=50)), {"EUR": 2_000}),
    "non_refundable": (
        (
            NonRefundable(anchor="sale", reason="Sold at a final discount.", selector=Selector(tags=frozenset({"sale"}))),
            MoneyBack(anchor="back", window_days=7, selector=Selector(nature="service")),
            NonRefundable(anchor="rest"),
        ),
        {},
    ),
}


# Their files are older than the facts of the special kinds.
BEFORE_THE_SPECIAL_KINDS = {"money_back", "unused_only", "pro_rated", "non_refundable", "pro_rated_by_month_and_best"}


def record(name: str) -> str:
    """Return the golden file of a kind as today's code would write it."""
    clauses, limit = POLICIES[name]
    document = policy(*clauses, limit=limit)
    text = dump_document(document)
    cases = [
        {"facts": facts.as_json(), "step": step, "verdict": verdict_bytes(evaluate(document, facts, step)).decode()}
        for facts in everyday() + special()[: 0 if name in BEFORE_THE_SPECIAL_KINDS else None]
        for step in (1, 100)
    ]
    return json.dumps({"document": text, "hash": document_hash(text), "cases": cases}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    for kind in POLICIES:
        path = FOLDER / f"{kind}.json"
        if not path.exists():
            path.write_text(record(kind), encoding="utf-8")
