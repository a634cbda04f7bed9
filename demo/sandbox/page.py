"""The page for people: what was paid, what went back. "Look, the money moved." """

from __future__ import annotations

from collections.abc import Iterable
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
form { display: inline-block; margin: .1rem 0; }
button { font: inherit; font-size: .85rem; padding: .15rem .6rem; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--paper); color: var(--ink); cursor: pointer; }
.good { color: var(--good); background: var(--good-bg); } .wait { color: var(--wait); background: var(--wait-bg); }
.bad { color: var(--bad); background: var(--bad-bg); } .empty { padding: 1.5rem; color: var(--soft); }
"""
_TAGS = {
    "succeeded": "good",
    "won": "good",
    "lost": "bad",
    "pending": "wait",
    "requires_action": "wait",
    "failed": "bad",
    "canceled": "bad",
}


# What a button does: its words, the path of the sandbox's own endpoint, and what is sent there.
Button = tuple[str, str, dict[str, str]]
_FAULTS: tuple[Button, ...] = (
    ("Lose the next answer", "faults", {"kind": "drop_after_commit"}),
    ("Drop the next request", "faults", {"kind": "drop_before_send"}),
    ("Answer the next with 429", "faults", {"kind": "status", "status": "429"}),
    ("Answer the next with 500", "faults", {"kind": "status", "status": "500"}),
    ("Let the next refund wait", "faults", {"kind": "outcome", "outcome": "pending", "path": "/v1/refunds"}),
    ("Let the next refund fail later", "faults", {"kind": "outcome", "outcome": "fail_after_success", "path": "/v1/refunds"}),
    ("Behave again", "faults/clear", {}),
)


def render(state: dict[str, Any], token: str) -> str:
    """Return the page for a state as the admin endpoint gives it; `token` lets its forms be believed."""
    charges = {charge["id"]: charge for charge in state["charges"]}
    counts = state["counts"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Payment sandbox</title><style>{_STYLE}</style></head><body><main>
<h1>Payment sandbox</h1>
<p>Stands in for Stripe. No real money moves here. {counts["events"]} events, {counts["webhooks_waiting"]} webhooks waiting.</p>
<h2>Misbehave</h2>
<p>{len(state["faults"])} faults are planned.</p>
<p>{_buttons(_FAULTS, token)}</p>
<h2>Refunds ({counts["refunds"]})</h2>
{
        _table(
            ("Amount", "Status", "Refund", "Of payment", "Trace number", "Created (UTC)", "Do"),
            [_refund(item, token) for item in state["refunds"][:SHOWN]],
            "Nothing was refunded yet. Ask for a refund in the shop and reload this page.",
        )
    }
<h2>Payments ({counts["payments"]})</h2>
{
        _table(
            ("Amount", "Refunded", "Status", "Payment", "Paid with", "Description", "Created (UTC)", "Do"),
            [_payment(item, charges.get(item["latest_charge"]), token) for item in state["payments"][:SHOWN]],
            "No payments yet.",
        )
    }
<h2>Disputes ({len(state["disputes"])})</h2>
{
        _table(
            ("Amount", "Status", "Dispute", "Of payment", "Reason", "Created (UTC)", "Do"),
            [_dispute(item, token) for item in state["disputes"][:SHOWN]],
            "No customer has gone to their bank.",
        )
    }
</main></body></html>
"""


def _buttons(buttons: Iterable[Button], token: str) -> str:
    return " ".join(_button(*button, token) for button in buttons)


def _button(words: str, path: str, sent: dict[str, str], token: str) -> str:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in {"token": token, "path": path, **sent}.items()
    )
    return f'<form method="post" action="/_sandbox/form">{fields}<button>{escape(words)}</button></form>'


def _dispute(dispute: dict[str, Any], token: str) -> str:
    steps = () if dispute["status"] in ("won", "lost", "warning_closed") else ("withdraw",)
    if dispute["status"] in ("needs_response", "under_review"):
        steps = ("win", "lose", *steps)
    buttons: list[Button] = [(step.capitalize(), f"disputes/{dispute['id']}/{step}", {}) for step in steps]
    return (
        f'<tr><td class="amount">{escape(display(dispute["amount"], dispute["currency"]))}</td><td>{_tag(dispute["status"])}</td>'
        f"<td><code>{escape(dispute['id'])}</code></td><td><code>{escape(dispute['payment_intent'])}</code></td>"
        f"<td>{escape(dispute['reason'])}</td><td>{_time(dispute['created'])}</td><td>{_buttons(buttons, token)}</td></tr>"
    )


def _table(heads: tuple[str, ...], rows: list[str], empty: str) -> str:
    if not rows:
        return f'<div class="table"><div class="empty">{escape(empty)}</div></div>'
    cells = "".join(f'<th scope="col"{_end(head)}>{escape(head)}</th>' for head in heads)
    return f'<div class="table" tabindex="0"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _end(head: str) -> str:
    return ' class="amount"' if head in ("Amount", "Refunded") else ""


def _refund(refund: dict[str, Any], token: str) -> str:
    path = f"refunds/{refund['id']}"
    buttons: list[Button] = [("Fail", f"{path}/fail", {"failure_reason": "expired_or_canceled_card"})]
    if refund["status"] in ("failed", "canceled"):
        buttons = []
    elif refund["status"] != "succeeded":
        buttons.insert(0, ("Settle", f"{path}/settle", {}))
    details = refund["destination_details"]
    reference = details[details["type"]]["reference"] or "not known yet"
    amount = display(refund["amount"], refund["currency"])
    why = refund.get("failure_reason") or refund.get("pending_reason") or ""
    return (
        f'<tr><td class="amount">{escape(amount)}</td><td>{_tag(refund["status"])} {escape(why)}</td>'
        f"<td><code>{escape(refund['id'])}</code></td><td><code>{escape(refund['payment_intent'] or refund['charge'])}</code></td>"
        f"<td><code>{escape(reference)}</code></td><td>{_time(refund['created'])}</td>"
        f"<td>{_buttons(buttons, token)}</td></tr>"
    )


def _payment(intent: dict[str, Any], charge: dict[str, Any] | None, token: str) -> str:
    about = {"payment_intent": intent["id"]}
    buttons: list[Button] = []
    if charge and charge["captured"] and not charge["refunded"] and not charge["disputed"]:
        buttons = [("Refund", "refunds", about), ("Dispute", "disputes", about)]
        buttons.append(("Inquire", "disputes", {**about, "status": "warning_needs_response"}))
    refunded = display(charge["amount_refunded"], intent["currency"]) if charge else "–"
    paid_with = _method(charge["payment_method_details"]) if charge else "–"
    return (
        f'<tr><td class="amount">{escape(display(intent["amount"], intent["currency"]))}</td><td class="amount">{escape(refunded)}</td>'
        f"<td>{_tag(intent['status'])}</td><td><code>{escape(intent['id'])}</code></td><td>{escape(paid_with)}</td>"
        f"<td>{escape(intent['description'] or '')}</td><td>{_time(intent['created'])}</td>"
        f"<td>{_buttons(buttons, token)}</td></tr>"
    )


def _method(details: dict[str, Any]) -> str:
    method = details[details["type"]]
    return f"{method.get('brand') or details['type'].replace('_', ' ')} •••• {method['last4']}"


def _tag(status: str) -> str:
    return f'<span class="tag {_TAGS.get(status, "wait")}">{escape(status.replace("_", " "))}</span>'


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
