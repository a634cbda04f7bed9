"""Listings that lag: a refund that was made just now is found by its id, but is not in any list yet."""

from __future__ import annotations

import time

from demo.sandbox.store import Object, Store


class Listings:
    """Reads pages of objects.

    Attributes:
        lag_seconds: how long it takes until a refund is listed; by the machine's clock, whatever the sandbox's says.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lag_seconds = 0.0

    def page(
        self,
        account: str,
        kind: str,
        *,
        limit: int,
        filters: dict[str, str],
        created: dict[str, int] | None = None,
        starting_after: str | None = None,
        ending_before: str | None = None,
        without: dict[str, str] | None = None,
    ) -> tuple[list[Object], bool]:
        """Return one page, newest first, and whether there are more; see `Store.page`."""
        lags = kind == "refund" and self.lag_seconds > 0
        return self._store.page(
            account,
            kind,
            limit=limit,
            filters=filters,
            created=created or {},
            starting_after=starting_after,
            ending_before=ending_before,
            without=without,
            made_before=time.time() - self.lag_seconds if lags else None,
        )
