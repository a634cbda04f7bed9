"""The control over HTTP, for tests and people whose stand-in runs in a process of its own: `POST /_control/<verb>` with JSON.

Things are named by their ids. Every answer is JSON; a refusal of Saleor's is a 409 with its error, a wrong call a 400 that says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.saleor.standin.install import InstallRefused
from tests.saleor.standin.refusals import Refusal
from tests.saleor.standin.traps import Fault
from tests.saleor.standin.world import App, Order, OrderGrantedRefund, TransactionItem, User

if TYPE_CHECKING:
    from tests.saleor.standin.control import Standin


def do_remotely(standin: Standin, verb: str, wish: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Carry out one wish of the control.

    Returns:
        The HTTP status and the answer.
    """
    action = VERBS.get(verb)
    if action is None:
        return 404, {"error": f"unknown: {verb}", "verbs": sorted(VERBS)}
    try:
        return 200, action(standin, wish)
    except Refusal as refusal:
        return 409, {"error": refusal.error}
    except InstallRefused as refused:
        return 409, {"error": {"message": str(refused)}}
    except (KeyError, TypeError, ValueError) as error:
        return 400, {"error": repr(error)}


def _app(standin: Standin, wish: dict[str, Any]) -> App | None:
    return standin.world.apps[wish["app"]] if wish.get("app") else None


def _user(standin: Standin, wish: dict[str, Any]) -> User | None:
    return standin.world.users[wish["user"]] if wish.get("user") else None


def _order(standin: Standin, wish: dict[str, Any]) -> Order:
    return standin.world.orders[wish["order"]]


def _transaction(standin: Standin, wish: dict[str, Any]) -> TransactionItem:
    return standin.world.transactions[wish["transaction"]]


def _grants(standin: Standin, wish: dict[str, Any]) -> list[OrderGrantedRefund]:
    return [standin.world.granted_refunds[key] for key in wish["grants"]]


def _install(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    app = standin.install(wish["manifest_url"])
    return {"app": app.id, "identifier": app.identifier, "permissions": app.permissions}


def _uninstall(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    standin.uninstall(standin.world.apps[wish["app"]])
    return {}


def _add_user(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    return {"user": standin.add_user(wish["email"], staff_permissions=wish.get("staff_permissions")).id}


def _add_order(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    user = _user(standin, wish)
    order = standin.add_order(
        lines=wish.get("lines"), email=wish.get("email", "customer@example.com"), user=user, number=wish.get("number", "")
    )
    return describe_order(order)


def _pay(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    reference = wish.get("psp_reference", "")
    item = standin.pay(_order(standin, wish), app=_app(standin, wish), psp_reference=reference, amount=wish.get("amount"))
    return describe_transaction(item)


def _cancel(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    standin.cancel(_order(standin, wish))
    return {}


def _grant(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    order, item = _order(standin, wish), _transaction(standin, wish)
    grant = standin.grant(order, item, wish["amount"], user=_user(standin, wish), lines=wish.get("lines"), reason=wish.get("reason", ""))
    return describe_grant(grant)


def _send_refunds(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    standin.send_refunds_together(_grants(standin, wish), user=_user(standin, wish))
    return {}


def _refund_at_once(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    request = standin.refund_at_once(_transaction(standin, wish), wish.get("amount"), user=_user(standin, wish))
    return {"amount": str(request.amount_value), "idempotency_key": request.idempotency_key}


def _other(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    if "default" in wish:
        standin.other.default = wish["default"]
    standin.other.script.extend(wish.get("script", []))
    settled = standin.settle_other(success=wish["settle"]) if "settle" in wish else 0
    return {"settled": settled, "paid": [{"transaction": each.transaction_id, "amount": str(each.amount)} for each in standin.other.paid]}


def _fault(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    if wish.get("sync"):
        standin.traps.add_sync(wish["sync"])
    else:
        standin.traps.add(Fault(**wish))
    return {}


def _work(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    standin.clock.advance(float(wish.get("seconds", 0)))
    return {"sent": standin.work()}


def _rotate_keys(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    standin.rotate_keys(keep_old=bool(wish.get("keep_old")))
    return {}


def _widget_form(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    app, user = _app(standin, wish), _user(standin, wish)
    if app is None or user is None:
        raise ValueError("app and user are needed")
    return {**standin.widget_form(user, app, **wish.get("parameters", {}))}


def _sign_in(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    return {"token": standin.customer_token(standin.world.users[wish["user"]])}


def _state(standin: Standin, wish: dict[str, Any]) -> dict[str, Any]:
    return {
        "api_url": standin.api_url,
        "version": standin.api_version,
        "apps": [{"app": app.id, "identifier": app.identifier, "permissions": app.permissions} for app in standin.world.apps.values()],
        "orders": [describe_order(order) for order in standin.world.orders.values()],
        "deliveries": [
            {"event": each.event, "url": each.webhook.target_url, "state": each.state, "retries": each.retries}
            for each in standin.post.sent
        ],
    }


def describe_order(order: Order) -> dict[str, Any]:
    """Tell an order with its money."""
    return {
        "order": order.id,
        "number": order.number,
        "status": order.status,
        "charge_status": order.charge_status,
        "total": str(order.total_gross),
        "lines": [{"line": line.id, "name": line.product_name, "metadata": line.private_metadata} for line in order.lines],
        "transactions": [describe_transaction(item) for item in order.transactions],
        "grants": [describe_grant(grant) for grant in order.granted_refunds],
    }


def describe_transaction(item: TransactionItem) -> dict[str, Any]:
    """Tell a transaction with its events, oldest first."""
    return {
        "transaction": item.id,
        "charged": str(item.charged),
        "refunded": str(item.refunded),
        "refund_pending": str(item.refund_pending),
        "events": [
            {"type": event.type, "amount": str(event.amount_value), "psp_reference": event.psp_reference, "message": event.message}
            for event in item.events
        ],
    }


def describe_grant(grant: OrderGrantedRefund) -> dict[str, Any]:
    """Tell a granted refund."""
    return {"grant": grant.id, "amount": str(grant.amount_value), "status": grant.status, "reason": grant.reason}


VERBS: dict[str, Callable[[Standin, dict[str, Any]], dict[str, Any]]] = {
    "state": _state,
    "install": _install,
    "uninstall": _uninstall,
    "add_user": _add_user,
    "add_order": _add_order,
    "pay": _pay,
    "cancel": _cancel,
    "grant": _grant,
    "send_refunds": _send_refunds,
    "refund_at_once": _refund_at_once,
    "other": _other,
    "fault": _fault,
    "work": _work,
    "rotate_keys": _rotate_keys,
    "widget_form": _widget_form,
    "sign_in": _sign_in,
}
