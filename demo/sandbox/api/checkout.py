"""/v1/checkout/sessions."""

from __future__ import annotations

from typing import Any

from demo.sandbox.api.call import Call
from demo.sandbox.api.catalogue import price_of, texts
from demo.sandbox.errors import ApiError
from demo.sandbox.objects import Object
from demo.sandbox.params import Params, merge_metadata
from demo.sandbox.sales_objects import Line

MOST_LINES = 100


def lines_from(call: Call, name: str) -> list[Line]:
    """Read `line_items` or a subscription's `items`."""
    lines = []
    for item in call.params.each(name):
        price = price_of(call, item)
        rates = item.strings("tax_rates")
        if len(rates) > 1:
            raise ApiError(400, "The sandbox knows one tax rate for each line.", param=name)
        lines.append(
            Line(
                description=call.find("product", price["product"])["name"],
                quantity=item.integer("quantity", minimum=1) or 1,
                unit_amount=price["unit_amount"],
                currency=price["currency"],
                price=price,
                rate=call.find("tax_rate", rates[0], param=name, status=400) if rates else None,
            )
        )
    if not 0 < len(lines) <= MOST_LINES:
        raise ApiError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)
    if len({line.currency for line in lines}) > 1:
        raise ApiError(400, "All prices must have the same currency.", param=name)
    return lines


def create(call: Call) -> Object:
    """POST /v1/checkout/sessions."""
    params = call.params
    mode = params.string("mode", required=True, choices=("payment", "subscription"))
    given: dict[str, Any] = texts(
        params, "success_url", "cancel_url", "customer", "customer_email", "client_reference_id", "locale", "submit_type"
    )
    given["metadata"] = merge_metadata({}, params.metadata())
    params.string("billing_address_collection", choices=("auto", "required"))
    if collected := params.inside("tax_id_collection"):
        collected.boolean("enabled")
    plan = _plan(params.inside("payment_intent_data" if mode == "payment" else "subscription_data"), str(mode))
    lines = lines_from(call, "line_items")
    expand = params.strings("expand")
    params.finish()
    if "customer" in given:
        call.find("customer", given["customer"], param="customer", status=400)
    if (mode == "subscription") != any(line.price and line.price["type"] == "recurring" for line in lines):
        message = "You must provide at least one recurring price in `subscription` mode, and none in `payment` mode."
        raise ApiError(400, message, param="line_items")
    return call.expand(call.sales.open_session(mode=str(mode), lines=lines, plan=plan, cause=call.cause, **given), expand)


def retrieve(call: Call, session_id: str) -> Object:
    """GET /v1/checkout/sessions/:id."""
    return call.one("checkout.session", session_id)


def line_items(call: Call, session_id: str) -> Object:
    """GET /v1/checkout/sessions/:id/line_items."""
    return call.lines_of("checkout.session", session_id)


def list_all(call: Call) -> Object:
    """GET /v1/checkout/sessions."""
    return call.many("checkout.session", filters=("customer", "payment_intent", "subscription", "status"))


def _plan(params: Params | None, mode: str) -> Object:
    if params is None:
        return {}
    plan: Object = {"metadata": merge_metadata({}, params.metadata()), **texts(params, "description")}
    if mode == "payment" and (method := params.string("capture_method", choices=("automatic", "automatic_async", "manual"))):
        plan["capture_method"] = method
    return plan
