"""The page for people: what was paid, what went back. "Look, the money moved." """

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any

from demo.sandbox.currencies import display

SHOWN = 200

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1f36; --soft: #697386; --line: #e3e8ee; --paper: #fff; --ground: #f6f8fa;
  --good: #05603a; --good-bg: #d1fadf; --wait: #7a4100; --wait-bg: #fef0c7; --bad: #912018; --bad-bg: #fee4e2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaf0; --soft: #a3acba; --line: #2e3442; --paper: #191d27; --ground: #10131a;
  --good: #a6f4c5; --good-bg: #054f31; --wait: #fedf89; --wait-bg: #633b05; --bad: #fecdca; --bad-bg: #7a271a; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); }
main { max-width: 84rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.5rem; } h2 { margin: 2rem 0 .75rem; font-size: 1.1rem; } p { margin: .25rem 0 0; color: var(--soft); }
.table { overflow-x: auto; background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; }
table { width: 100%; border-collapse: collapse; } th, td { padding: .55rem .9rem; text-align: start; white-space: nowrap; }
th.amount { font-weight: 500; } th { color: var(--soft); font-weight: 500; font-size: .85rem; }
tbody tr { border-top: 1px solid var(--line); }
.amount { text-align: end; font-variant-numeric: tabular-nums; font-weight: 600; }
code { font: .85em ui-monospace, monospace; color: var(--soft); }
.tag { display: inline-block; padding: .05rem .55rem; border-radius: 1rem; font-size: .8rem; font-weight: 600; }
.good { color: var(--good); background: var(--good-bg); } .wait { color: var(--wait); background: var(--wait-bg); }
.bad { color: var(--bad); background: var(--bad-bg); } .empty { padding: 1.5rem; color: var(--soft); }
"""
_TAGS = {"succeeded": "good", "pending": "wait", "requires_action": "wait", "failed": "bad", "canceled": "bad"}


def render(state: dict[str, Any]) -> str:
    """Return the page for a state as the admin endpoint gives it."""
    charges = {charge["id"]: charge for charge in state["charges"]}
    counts = state["counts"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Payment sandbox</title><style>{_STYLE}</style></head><body><main>
<h1>Payment sandbox</h1>
<p>Stands in for Stripe. No real money moves here. {counts["events"]} events, {counts["webhooks_waiting"]} webhooks waiting.</p>
<h2>Refunds ({counts["refunds"]})</h2>
{
        _table(
            ("Amount", "Status", "Refund", "Of payment", "Trace number", "Created (UTC)"),
            [_refund(item) for item in state["refunds"][:SHOWN]],
            "Nothing was refunded yet. Ask for a refund in the shop and reload this page.",
        )
    }
<h2>Payments ({counts["payments"]})</h2>
{
        _table(
            ("Amount", "Refunded", "Status", "Payment", "Paid with", "Description", "Created (UTC)"),
            [_payment(item, charges.get(item["latest_charge"])) for item in state["payments"][:SHOWN]],
            "No payments yet.",
        )
    }
</main></body></html>
"""


def _table(heads: tuple[str, ...], rows: list[str], empty: str) -> str:
    if not rows:
        return f'<div class="table"><div class="empty">{escape(empty)}</div></div>'
    cells = "".join(f'<th scope="col"{_end(head)}>{escape(head)}</th>' for head in heads)
    return f'<div class="table" tabindex="0"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _end(head: str) -> str:
    return ' class="amount"' if head in ("Amount", "Refunded") else ""


def _refund(refund: dict[str, Any]) -> str:
    details = refund["destination_details"]
    reference = details[details["type"]]["reference"] or "not known yet"
    amount = display(refund["amount"], refund["currency"])
    why = refund.get("failure_reason") or refund.get("pending_reason") or ""
    return (
        f'<tr><td class="amount">{escape(amount)}</td><td>{_tag(refund["status"])} {escape(why)}</td>'
        f"<td><code>{escape(refund['id'])}</code></td><td><code>{escape(refund['payment_intent'] or refund['charge'])}</code></td>"
        f"<td><code>{escape(reference)}</code></td><td>{_time(refund['created'])}</td></tr>"
    )


def _payment(intent: dict[str, Any], charge: dict[str, Any] | None) -> str:
    refunded = display(charge["amount_refunded"], intent["currency"]) if charge else "–"
    paid_with = _method(charge["payment_method_details"]) if charge else "–"
    return (
        f'<tr><td class="amount">{escape(display(intent["amount"], intent["currency"]))}</td><td class="amount">{escape(refunded)}</td>'
        f"<td>{_tag(intent['status'])}</td><td><code>{escape(intent['id'])}</code></td><td>{escape(paid_with)}</td>"
        f"<td>{escape(intent['description'] or '')}</td><td>{_time(intent['created'])}</td></tr>"
    )


def _method(details: dict[str, Any]) -> str:
    method = details[details["type"]]
    return f"{method.get('brand') or details['type'].replace('_', ' ')} •••• {method['last4']}"


def _tag(status: str) -> str:
    return f'<span class="tag {_TAGS.get(status, "wait")}">{escape(status.replace("_", " "))}</span>'


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
