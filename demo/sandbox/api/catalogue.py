"""/v1/products, /v1/prices, /v1/tax_rates and /v1/customers."""

from __future__ import annotations

import re
from typing import Any

from demo.sandbox import sales_objects
from demo.sandbox.api.call import Call
from demo.sandbox.currencies import check_currency
from demo.sandbox.errors import ApiError
from demo.sandbox.objects import Object
from demo.sandbox.params import Params, merge_metadata

INTERVALS = ("day", "week", "month", "year")


def texts(params: Params, *names: str) -> dict[str, str]:
    """Read those of some strings that are given."""
    return {name: value for name in names if (value := params.string(name)) is not None}


def create_product(call: Call) -> Object:
    """POST /v1/products."""
    name = call.params.string("name", required=True)
    given: dict[str, Any] = texts(call.params, "id", "description", "unit_label", "tax_code", "statement_descriptor")
    metadata, expand = merge_metadata({}, call.params.metadata()), call.params.strings("expand")
    call.params.finish()
    product = sales_objects.product(name=str(name), created=int(call.clock.now()), metadata=metadata)
    product |= given
    if call.store.get(call.account, "product", product["id"]):
        raise ApiError(400, "Product already exists.", code="resource_already_exists", stored=True)
    call.store.insert(call.account, product)
    call.bank.tell("product.created", product, call.cause)
    return call.expand(product, expand)


def update_product(call: Call, product_id: str) -> Object:
    """POST /v1/products/:id."""
    given = texts(call.params, "name", "description", "unit_label")
    change = call.params.metadata()
    call.params.finish()
    product = call.find("product", product_id)
    product |= {**given, "metadata": merge_metadata(product["metadata"], change), "updated": int(call.clock.now())}
    call.store.update(call.account, product)
    call.bank.tell("product.updated", product, call.cause)
    return product


def retrieve_product(call: Call, product_id: str) -> Object:
    """GET /v1/products/:id."""
    return call.one("product", product_id)


def list_products(call: Call) -> Object:
    """GET /v1/products."""
    return call.many("product", filters=())


def create_price(call: Call) -> Object:
    """POST /v1/prices."""
    expand = call.params.strings("expand")
    given: dict[str, Any] = texts(call.params, "nickname", "lookup_key")
    given["metadata"] = merge_metadata({}, call.params.metadata())
    product, recurring, unit_amount, currency = _price(call.params)
    data = call.params.inside("product_data")
    name, metadata = (data.string("name", required=True), merge_metadata({}, data.metadata())) if data else (None, {})
    call.params.finish()
    return call.expand(_make_price(call, product, name, metadata, unit_amount, currency, recurring, given), expand)


def price_of(call: Call, line: Params) -> Object:
    """Read the `price` or the `price_data` of a line; the latter makes a price, and perhaps a product, on the way."""
    price_id, data = line.string("price"), line.inside("price_data")
    if (price_id is None) == (data is None):
        raise ApiError(400, "Give each line either a price or price_data.", code="parameter_missing", param="line_items")
    if data is None:
        return call.find("price", str(price_id), param="line_items", status=400)
    product, recurring, unit_amount, currency = _price(data)
    about = data.inside("product_data")
    name, metadata = (about.string("name", required=True), merge_metadata({}, about.metadata())) if about else (None, {})
    if about:
        about.string("description")
    return _make_price(call, product, name, metadata, unit_amount, currency, recurring, {})


def retrieve_price(call: Call, price_id: str) -> Object:
    """GET /v1/prices/:id."""
    return call.one("price", price_id)


def list_prices(call: Call) -> Object:
    """GET /v1/prices."""
    return call.many("price", filters=("product", "currency", "type"))


def create_tax_rate(call: Call) -> Object:
    """POST /v1/tax_rates."""
    name, inclusive = call.params.string("display_name", required=True), call.params.boolean("inclusive")
    percentage = str(call.params.string("percentage", required=True))
    given: dict[str, Any] = texts(call.params, "country", "description", "jurisdiction", "state", "tax_type")
    given["metadata"] = merge_metadata({}, call.params.metadata())
    call.params.finish()
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?|100", percentage):
        raise ApiError(400, f"Invalid decimal: {percentage}", param="percentage")
    rate = sales_objects.tax_rate(
        display_name=str(name), percentage=float(percentage), inclusive=inclusive, created=int(call.clock.now()), **given
    )
    call.store.insert(call.account, rate)
    return rate


def retrieve_tax_rate(call: Call, rate_id: str) -> Object:
    """GET /v1/tax_rates/:id."""
    return call.one("tax_rate", rate_id)


def create_customer(call: Call) -> Object:
    """POST /v1/customers."""
    given: dict[str, Any] = texts(call.params, "email", "name", "phone", "description")
    given["metadata"] = merge_metadata({}, call.params.metadata())
    given["preferred_locales"] = call.params.strings("preferred_locales")
    if (place := call.params.inside("address")) is not None:
        parts = texts(place, "city", "country", "line1", "line2", "postal_code", "state")
        given["address"] = sales_objects.address(parts.pop("country", None), **parts)
    expand = call.params.strings("expand")
    call.params.finish()
    return call.expand(call.sales.customer(cause=call.cause, **given), expand)


def retrieve_customer(call: Call, customer_id: str) -> Object:
    """GET /v1/customers/:id."""
    return call.one("customer", customer_id)


def list_customers(call: Call) -> Object:
    """GET /v1/customers."""
    return call.many("customer", filters=("email",))


def _price(params: Params) -> tuple[str | None, Object | None, int, str]:
    product = params.string("product")
    currency = str(params.string("currency", required=True))
    check_currency(currency)
    unit_amount = params.integer("unit_amount", required=True, minimum=0)
    params.string("tax_behavior", choices=("exclusive", "inclusive", "unspecified"))
    recurring: Object | None = None
    if (rhythm := params.inside("recurring")) is not None:
        recurring = {"interval": rhythm.string("interval", required=True, choices=INTERVALS)}
        recurring["interval_count"] = rhythm.integer("interval_count", minimum=1, maximum=36) or 1
    return product, recurring, unit_amount or 0, currency


def _make_price(
    call: Call,
    product_id: str | None,
    name: str | None,
    metadata: dict[str, str],
    unit_amount: int,
    currency: str,
    recurring: Object | None,
    given: dict[str, Any],
) -> Object:
    if (product_id is None) == (name is None):
        raise ApiError(400, "You must specify either `product` or `product_data` when creating a price.", code="parameter_missing")
    now = int(call.clock.now())
    if product_id is not None:
        call.find("product", product_id, param="product", status=400)
    else:
        product = sales_objects.product(name=str(name), created=now, metadata=metadata)
        product_id = product["id"]
        call.store.insert(call.account, product)
    price = sales_objects.price(
        of=product_id, unit_amount=unit_amount, currency=currency, created=now, recurring=recurring, **{"metadata": {}, **given}
    )
    call.store.insert(call.account, price)
    return price
