"""What an endpoint is given, and the two things all of them do: find an object and expand references."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo.sandbox.bank import Bank, Cause
from demo.sandbox.clock import Clock
from demo.sandbox.errors import ApiError, missing_object
from demo.sandbox.listings import Listings
from demo.sandbox.objects import Object
from demo.sandbox.params import Params
from demo.sandbox.store import Store

_EXPANDABLE = {
    "balance_transaction": "balance_transaction",
    "charge": "charge",
    "failure_balance_transaction": "balance_transaction",
    "latest_charge": "charge",
    "payment_intent": "payment_intent",
}
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
        """Put objects in the place of their ids; `refunds` of a charge is a list that is only there when asked for."""
        for name in names:
            head, _, rest = name.partition(".")
            if head == "refunds" and body["object"] == "charge":
                body["refunds"] = self._refunds_of(body)
                continue
            if head not in _EXPANDABLE or head not in body:
                raise ApiError(400, f"This property cannot be expanded ({name}).", param="expand")
            if isinstance(body[head], str):
                body[head] = self.find(_EXPANDABLE[head], body[head])
            if rest and body[head] is not None:
                self.expand(body[head], [rest])
        return body

    def one(self, kind: str, object_id: str) -> Object:
        """Answer a retrieve call."""
        expand = self.params.strings("expand")
        self.params.finish()
        return self.expand(self.find(kind, object_id), expand)

    def many(self, kind: str, *, filters: tuple[str, ...]) -> Object:
        """Answer a list call: newest first, in pages."""
        limit = self.params.integer("limit", minimum=1, maximum=MAX_LIMIT) or 10
        wanted = {name: value for name in filters if (value := self.params.string(name)) is not None}
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
            self.account, kind, limit=limit, filters=wanted, created=created, starting_after=after, ending_before=before
        )
        inner = [name.removeprefix("data.") for name in expand]
        return {"object": "list", "data": [self.expand(item, inner) for item in data], "has_more": has_more, "url": self.path}

    def _refunds_of(self, charge: Object) -> dict[str, Any]:
        data, has_more = self.listings.page(self.account, "refund", limit=10, filters={"charge": charge["id"]})
        return {"object": "list", "data": data, "has_more": has_more, "url": f"/v1/charges/{charge['id']}/refunds"}
