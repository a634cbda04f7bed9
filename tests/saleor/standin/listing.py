"""Lists of the API: pages with cursors, and the filters that we use."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError

from tests.saleor.standin.context import Context
from tests.saleor.standin.world import Order, global_id


def connection(
    rows: list[Any], *, first: int | None = None, last: int | None = None, after: str | None = None, before: str | None = None
) -> dict[str, Any]:
    """Cut a page out of rows. Saleor refuses a page without a size, and more than a hundred rows."""
    if first is None and last is None:
        raise GraphQLError("You must provide a `first` or `last` value to properly paginate the connection.")
    if max(first or 0, last or 0) > 100:
        raise GraphQLError(f"Requesting {first or last} records on the connection exceeds the `first` limit of 100 records.")
    ids = [row.id if hasattr(row, "id") else row["id"] for row in rows]
    start = _position(ids, after) + 1 if after else 0
    stop = _position(ids, before) if before else len(rows)
    chosen = list(range(start, stop))
    page = chosen[:first] if first is not None else chosen[-(last or 0) :]
    edges = [{"cursor": global_id("Cursor", ids[index]), "node": rows[index]} for index in page]
    info = {
        "hasNextPage": bool(page) and page[-1] < len(rows) - 1,
        "hasPreviousPage": bool(page) and page[0] > 0,
        "startCursor": edges[0]["cursor"] if edges else None,
        "endCursor": edges[-1]["cursor"] if edges else None,
    }
    return {"edges": edges, "pageInfo": info, "totalCount": len(rows)}


def _position(ids: list[str], cursor: str) -> int:
    for index, each in enumerate(ids):
        if global_id("Cursor", each) == cursor:
            return index
    raise GraphQLError("Received cursor is invalid.")


def orders(
    source: Any,
    context: Context,
    *,
    filter: dict[str, Any] | None = None,
    where: dict[str, Any] | None = None,
    sort_by: dict[str, Any] | None = None,
    channel: str | None = None,
    search: str | None = None,
    **page: Any,
) -> dict[str, Any]:
    """Query.orders: newest first unless it is sorted otherwise."""
    if filter and where:
        raise GraphQLError("Only one filtering argument (filter or where) can be specified.")
    rows = [order for order in context.world.orders.values() if not channel or order.channel["slug"] == channel]
    rows = [order for order in rows if _order_matches(order, filter or {}) and _order_matches(order, where or {})]
    if search:
        rows = [order for order in rows if search.lower() in f"{order.number} {order.user_email}".lower()]
    sort = sort_by or {"field": "CREATED_AT", "direction": "DESC"}
    keys = {"NUMBER": lambda order: int(order.number), "LAST_MODIFIED_AT": lambda order: (order.updated_at, order.id)}
    rows.sort(key=keys.get(sort["field"], lambda order: (order.created, order.id)), reverse=sort["direction"] == "DESC")
    return connection(rows, **page)


def _order_matches(order: Order, wanted: dict[str, Any]) -> bool:
    checks = {
        "ids": lambda value: order.id in value,
        "numbers": lambda value: order.number in value,
        "number": lambda value: _eq(int(order.number), value),
        "updatedAt": lambda value: _within(order.updated_at, value),
        "createdAt": lambda value: _within(order.created, value),
        "created": lambda value: _within(order.created.date(), value),
        "userEmail": lambda value: _eq(order.user_email, value),
        "customer": lambda value: value.lower() in order.user_email.lower(),
        "user": lambda value: order.user is not None and _eq(order.user.id, value),
        "channelId": lambda value: _eq(order.channel["id"], value),
        "channels": lambda value: order.channel["id"] in value,
        "chargeStatus": lambda value: _eq(order.charge_status, value) if isinstance(value, dict) else order.charge_status in value,
        "authorizeStatus": lambda value: _eq(order.authorize_status, value) if isinstance(value, dict) else order.authorize_status in value,
        "status": lambda value: _eq(order.status, value) if isinstance(value, dict) else order.status in value,
        "search": lambda value: value.lower() in f"{order.number} {order.user_email}".lower(),
        "metadata": lambda value: all(order.metadata.get(each["key"]) == each.get("value") for each in value),
        "AND": lambda value: all(_order_matches(order, each) for each in value),
        "OR": lambda value: any(_order_matches(order, each) for each in value),
    }
    return all(value is None or checks[name](value) for name, value in wanted.items())


def _eq(actual: Any, wanted: dict[str, Any]) -> bool:
    if wanted.get("range"):
        return _within(actual, wanted["range"])
    return actual == wanted["eq"] if wanted.get("eq") is not None else actual in (wanted.get("oneOf") or [actual])


def _within(actual: Any, wanted: dict[str, Any]) -> bool:
    return not (wanted.get("gte") is not None and actual < wanted["gte"]) and not (wanted.get("lte") is not None and actual > wanted["lte"])


def pages(
    source: Any, context: Context, *, filter: Any = None, where: Any = None, search: str | None = None, **page: Any
) -> dict[str, Any]:
    """Query.pages: by title; what is not published only for those who may manage pages."""
    rows = [each for each in context.world.pages.values() if each.is_published or "MANAGE_PAGES" in context.caller.permissions]
    types = (filter or {}).get("pageTypes") or ((where or {}).get("pageType") or {}).get("oneOf")
    if (where or {}).get("pageType", {}).get("eq"):
        types = [where["pageType"]["eq"]]
    ids = (filter or {}).get("ids") or (where or {}).get("ids")
    rows = [each for each in rows if (not types or each.page_type.id in types) and (not ids or each.id in ids)]
    return connection(sorted(rows, key=lambda each: each.title), **{key: value for key, value in page.items() if key != "channel"})


def page_types(source: Any, context: Context, *, filter: Any = None, **page: Any) -> dict[str, Any]:
    """Query.pageTypes."""
    wanted = ((filter or {}).get("search") or "").lower()
    return connection([each for each in context.world.page_types.values() if wanted in f"{each.name} {each.slug}".lower()], **page)


def page_by(source: Any, context: Context, id: str | None = None, slug: str | None = None) -> Any:
    """Query.page, by id or slug."""
    return next((page for page in context.world.pages.values() if page.id == id or page.slug == slug), None)


def user_by(source: Any, context: Context, id: str | None = None, email: str | None = None) -> Any:
    """Query.user, by id or e-mail address."""
    return next((user for user in context.world.users.values() if user.id == id or user.email == email), None)


def customers(source: Any, context: Context, *, filter: Any = None, where: Any = None, search: Any = None, **page: Any) -> dict[str, Any]:
    """Query.customers: nobody of the staff."""
    wanted = search or (filter or {}).get("search") or ""
    emails = ((where or {}).get("email") or {}).get("oneOf") or [((where or {}).get("email") or {}).get("eq")]
    rows = [user for user in context.world.users.values() if not user.is_staff and wanted in user.email]
    return connection([user for user in rows if emails == [None] or user.email in emails], **page)


def vouchers(source: Any, context: Context, *, filter: Any = None, channel: Any = None, **page: Any) -> dict[str, Any]:
    """Query.vouchers, by a part of a code."""
    wanted = (filter or {}).get("search") or ""
    return connection([each for each in context.world.vouchers.values() if any(wanted in code for code in each.codes)], **page)


def gift_cards(source: Any, context: Context, *, filter: Any = None, search: str | None = None, **page: Any) -> dict[str, Any]:
    """Query.giftCards, by a part of the code."""
    wanted = search or (filter or {}).get("code") or ""
    return connection([each for each in context.world.gift_cards.values() if wanted in each.code], **page)
