"""Compare what the gateway did with what we say it did, and every balance with what it is made of.

The gateway's side comes from the sandbox itself; ours from the rows, by plain SQL and not by the code that wrote them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import GONE, HELD
from tests.faults.world import Scene

# what moves money at the gateway; "failed" and "canceled" do not
PAYING = frozenset({"pending", "requires_action", "succeeded"})


@dataclass
class Truth:
    """What was found.

    Attributes:
        debts: approved movements of money, a refund and its successors being one.
        paid_twice: debts with more than one paying refund at the gateway.
        lost: debts that nobody is paid for, or that we call paid and the gateway does not.
        problems: everything that is wrong, in a sentence each; `paid_twice` and `lost` included.
        movements: of the ledger, all looked at.
    """

    debts: int = 0
    paid_twice: int = 0
    lost: int = 0
    movements: int = 0
    problems: list[str] = field(default_factory=list)


def find(scene: Scene, *, all_paid: bool = True) -> Truth:
    """Return the truth about a scene whose work is done.

    Args:
        all_paid: whether every debt must have been paid by now; else only what we call paid must have been.
    """
    gateway = gateway_refunds(scene)
    truth = Truth()
    _compare(truth, gateway, all_paid=all_paid)
    truth.problems += [*_wrong_balances(), *_above_captured(gateway)]
    truth.movements, differing = _check_ledger()
    truth.problems += differing
    scene.world.ledgers.append((truth.movements, differing))
    return truth


def gateway_refunds(scene: Scene) -> list[dict[str, Any]]:
    """Return all refunds the gateway has, newest first."""
    refunds: list[dict[str, Any]] = scene.sandbox.get("state")["refunds"]
    return refunds


def _compare(truth: Truth, gateway: Iterable[dict[str, Any]], *, all_paid: bool) -> None:
    ours = {row["pk"]: row for row in Refund.objects.values("pk", "supersedes_id", "state", "amount_minor", "gateway_refund_id", "origin")}
    root_of = {pk: _root(pk, ours) for pk in ours}
    paid: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for refund in gateway:
        named = (refund.get("metadata") or {}).get("refund_id")
        if not named or refund["status"] not in PAYING:
            continue
        if UUID(named) not in ours:
            truth.problems.append(f"the gateway paid {refund['id']} for a refund {named} that we do not have")
            continue
        if refund["amount"] != ours[UUID(named)]["amount_minor"]:
            truth.problems.append(f"the gateway paid {refund['amount']} for {named}, which is over {ours[UUID(named)]['amount_minor']}")
        paid[root_of[UUID(named)]].append(refund)
    states: dict[UUID, list[str]] = defaultdict(list)
    for pk, row in ours.items():
        if row["origin"] != "external":
            states[root_of[pk]].append(row["state"])
    truth.debts = len(states)
    for root, of_debt in states.items():
        times = len(paid[root])
        if times > 1:
            truth.paid_twice += 1
            truth.problems.append(f"refund {root} was paid {times} times: {', '.join(refund['id'] for refund in paid[root])}")
        told = any(state in GONE for state in of_debt)
        if (told or all_paid) and not (told and times):
            truth.lost += 1
            truth.problems.append(f"refund {root} is {' then '.join(of_debt)} with us and was paid {times} times by the gateway")
        elif times and not told and not any(state in HELD for state in of_debt):
            truth.lost += 1
            truth.problems.append(f"refund {root} was paid by the gateway and is {' then '.join(of_debt)} with us")


def _root(pk: UUID, rows: dict[UUID, dict[str, Any]]) -> UUID:
    while rows[pk]["supersedes_id"] is not None:
        pk = rows[pk]["supersedes_id"]
    return pk


def _rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _names(states: Iterable[str]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


def _wrong_balances() -> list[str]:
    """Recompute held and gone of payments and lines from the refunds."""
    held, gone = _names(str(state) for state in HELD), _names(str(state) for state in GONE)
    payments = _rows(
        f"""
        SELECT p.id, p.held_minor, p.gone_minor, p.disputed_minor, p.captured_minor, p.over_minor, coalesce(r.held, 0), coalesce(r.gone, 0)
        FROM refund_plugin_payment p LEFT JOIN (
            SELECT payment_id, sum(amount_minor) FILTER (WHERE state IN ({held})) AS held,
                   sum(amount_minor) FILTER (WHERE state IN ({gone})) AS gone
            FROM refund_plugin_refund GROUP BY payment_id) r ON r.payment_id = p.id
        WHERE p.held_minor <> coalesce(r.held, 0) OR p.gone_minor <> coalesce(r.gone, 0)
           OR p.held_minor + p.gone_minor + p.disputed_minor > p.captured_minor + p.over_minor
        """
    )
    lines = _rows(
        f"""
        SELECT l.id, l.held_minor, l.gone_minor, l.paid_minor, l.over_minor, coalesce(a.held, 0), coalesce(a.gone, 0)
        FROM refund_plugin_purchaseline l LEFT JOIN (
            SELECT a.line_id, sum(a.gross_minor) FILTER (WHERE r.state IN ({held})) AS held,
                   sum(a.gross_minor) FILTER (WHERE r.state IN ({gone})) AS gone
            FROM refund_plugin_allocation a JOIN refund_plugin_refund r ON r.id = a.refund_id GROUP BY a.line_id) a ON a.line_id = l.id
        WHERE l.held_minor <> coalesce(a.held, 0) OR l.gone_minor <> coalesce(a.gone, 0)
           OR l.held_minor + l.gone_minor > l.paid_minor + l.over_minor
        """
    )
    return [
        *(
            f"payment {row[0]}: held {row[1]}, gone {row[2]}, disputed {row[3]}, captured {row[4]}, over {row[5]}; its refunds say "
            f"held {row[6]}, gone {row[7]}"
            for row in payments
        ),
        *(f"line {row[0]}: held {row[1]}, gone {row[2]}, paid {row[3]}, over {row[4]}; its refunds say {row[5:]}" for row in lines),
    ]


def _above_captured(gateway: Iterable[dict[str, Any]]) -> list[str]:
    """The gateway must not have paid more than was captured: its own check does not catch every double refund, ours counts."""
    sums: Counter[str] = Counter()
    for refund in gateway:
        if refund["status"] in PAYING:
            sums[refund["payment_intent"]] += refund["amount"]
    captured = dict(_rows("SELECT gateway_payment_id, captured_minor FROM refund_plugin_payment"))
    return [
        f"payment {name}: captured {captured[name]}, paid back {total}" for name, total in sums.items() if total > captured.get(name, 0)
    ]


def _check_ledger() -> tuple[int, list[str]]:
    """Add up the ledger by movement, and let the product recompute what it recomputes every day; return movements and problems."""
    unbalanced = _rows(
        """
        SELECT movement, currency, sum(debit_minor), sum(credit_minor) FROM refund_plugin_ledgerentry
        GROUP BY movement, currency HAVING sum(debit_minor) <> sum(credit_minor)
        """
    )
    problems = [f"ledger movement {row[0]}: debits {row[2]}, credits {row[3]} {row[1]}" for row in unbalanced]
    problems += [str(difference) for difference in verify().differences]
    return int(_rows("SELECT count(DISTINCT movement) FROM refund_plugin_ledgerentry")[0][0]), problems
