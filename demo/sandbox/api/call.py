"""What an endpoint is given, and the two things all of them do: find an object and expand references."""

from __future__ import annotations

from dataclasses import dataclass

from demo.sandbox.bank import Bank, Cause
from demo.sandbox.clock import Clock
from demo.sandbox.errors import ApiError, missing_object
from demo.sandbox.listings import Listings
from demo.sandbox.objects import Object
from demo.sandbox.params import Params
from demo.sandbox.sales import Sales
from demo.sandbox.sales_objects import MOST_EMBEDDED, listed
from demo.sandbox.store import Store

# Where an id stands in the place of an object, and of which kind that is.
_EXPANDABLE = {
    "balance_transaction": "balance_transaction",
    "charge": "charge",
    "customer": "customer",
    "default_price": "price",
    "failure_balance_transaction": "balance_transaction",
    "invoice": "invoice",
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "price": "price",
    "product": "product",
    "refund": "refund",
    "subscription": "subscription",
}
# Lists that are only there when asked for.
_INCLUDABLE = {("charge", "refunds"), ("checkout.session", "line_items"), ("invoice", "payments")}
# The same for what is in the lines of a session.
_INCLUDABLE_IN_ITEMS = ("taxes", "discounts")
MAX_DEPTH = 4
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call of an endpoint."""

    cause: Cause
    params: Params
    store: Store
    bank: Bank
    clock: Clock
    listings: Listings
    sales: Sales
    path: str

    @property
    def account(self) -> str:
        """The account that calls."""
        return self.cause.account

    def find(self, kind: str, object_id: str, *, param: str = "id", status: int = 404) -> Object:
        """Return an object of the account.

        Raises:
            ApiError: it does not exist.
        """
        found = self.store.get(self.account, kind, object_id)
        if found is None:
            raise missing_object(kind, object_id, param=param, status=status)
        return found

    def expand(self, body: Object, names: list[str]) -> Object:
        """Put objects in the place of their ids, and add the lists that are only there when asked for."""
        for name in names:
            parts = name.split(".")
            if len(parts) > MAX_DEPTH:
                raise ApiError(400, f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {name}", param="expand")
            self._expand(body, parts, name)
        return self._without_lines(body)

    def _expand(self, body: Object, parts: list[str], name: str) -> None:
        head, rest = parts[0], parts[1:]
        if (body.get("object"), head) in _INCLUDABLE and head not in body:
            body[head] = self._include(body, head)
        if head not in body:
            raise ApiError(400, f"This property cannot be expanded ({name}).", param="expand")
        if isinstance(body[head], str) and head in _EXPANDABLE:
            body[head] = self.find(_EXPANDABLE[head], body[head])
        elif not rest and body.get("object") == "item" and head in _INCLUDABLE_IN_ITEMS:
            body.setdefault("shown", []).append(head)
        elif not rest and head not in _EXPANDABLE and (body.get("object"), head) not in _INCLUDABLE:
            raise ApiError(400, f"This property cannot be expanded ({name}).", param="expand")
        if rest:
            inner = body[head] if isinstance(body[head], list) else [body[head]]
            for item in inner:
                if isinstance(item, dict):
                    self._expand(item, rest, name)

    def _include(self, body: Object, name: str) -> Object:
        if name == "line_items":
            items = self.store.get(self.account, "lines", f"lines_{body['id']}")
            return listed(items["data"] if items else [], f"/v1/checkout/sessions/{body['id']}/line_items")
        kind, field, url = (
            ("refund", "charge", f"/v1/charges/{body['id']}/refunds")
            if name == "refunds"
            else ("invoice_payment", "invoice", "/v1/invoice_payments")
        )
        data, has_more = self.listings.page(self.account, kind, limit=MOST_EMBEDDED, filters={field: body["id"]})
        return {"object": "list", "data": data, "has_more": has_more, "url": url}

    def _without_lines(self, body: Object) -> Object:
        """Leave out of a session's lines what was not asked for."""
        items = [body] if body.get("object") == "item" else (body.get("line_items") or {}).get("data", [])
        for item in items:
            shown = item.pop("shown", [])
            for name in _INCLUDABLE_IN_ITEMS:
                if name not in shown:
                    item.pop(name, None)
        return body

    def lines_of(self, kind: str, owner: str) -> Object:
        """Answer a list call for the lines of a session or an invoice: in their order, in pages."""
        self.find(kind, owner)
        limit = self.params.integer("limit", minimum=1, maximum=MAX_LIMIT) or 10
        after = self.params.string("starting_after")
        expand = [name.removeprefix("data.") for name in self.params.strings("expand")]
        self.params.finish()
        lines = self.find("lines", f"lines_{owner}")["data"]
        ids = [line["id"] for line in lines]
        if after is not None and after not in ids:
            raise missing_object(kind, after, param="starting_after", status=400)
        start = ids.index(after) + 1 if after is not None else 0
        data = [self.expand(line, expand) for line in lines[start : start + limit]]
        return {"object": "list", "data": data, "has_more": start + limit < len(lines), "url": self.path}

    def one(self, kind: str, object_id: str) -> Object:
        """Answer a retrieve call."""
        expand = self.params.strings("expand")
        self.params.finish()
        return self.expand(self.find(kind, object_id), expand)

    def many(
        self, kind: str, *, filters: tuple[str, ...], paths: dict[str, str] | None = None, without: dict[str, str] | None = None
    ) -> Object:
        """Answer a list call: newest first, in pages.

        Args:
            filters: parameters that name a field; `paths` has those whose field has another name.
            without: what is left out.
        """
        limit = self.params.integer("limit", minimum=1, maximum=MAX_LIMIT) or 10
        wanted = {name: value for name in (*filters, *(paths or {})) if (value := self.params.string(name)) is not None}
        created = self.params.created()
        after, before = self.params.string("starting_after"), self.params.string("ending_before")
        expand = self.params.strings("expand")
        self.params.finish()
        if after and before:
            raise ApiError(400, "You cannot parameterize both starting_after and ending_before.", param="starting_after")
        for name, cursor in (("starting_after", after), ("ending_before", before)):
            if cursor:
                self.find(kind, cursor, param=name, status=400)
        for name, value in wanted.items():
            if name in _EXPANDABLE:
                self.find(_EXPANDABLE[name], value, param=name)
        data, has_more = self.listings.page(
            self.account,
            kind,
            limit=limit,
            filters={(paths or {}).get(name, name): value for name, value in wanted.items()},
            created=created,
            starting_after=after,
            ending_before=before,
            without=without,
        )
        if any(name.count(".") >= MAX_DEPTH for name in expand):
            raise ApiError(400, f"You cannot expand more than {MAX_DEPTH} levels of a property.", param="expand")
        inner = [name.removeprefix("data.") for name in expand]
        return {"object": "list", "data": [self.expand(item, inner) for item in data], "has_more": has_more, "url": self.path}
