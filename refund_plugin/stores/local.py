"""The store that lives in this very site: the host's own code is told, by the function that `ACCESS_HANDLER` names."""

from __future__ import annotations

from django.utils.module_loading import import_string

from refund_plugin.conf import settings
from refund_plugin.stores.base import CreditKind, CreditTold, LineAccess, RefundTold, StoreRefused, StoreUnavailable


class LocalStore:
    """Calls the host's function. Without one, nothing is locked, and nothing says that it is."""

    def keeps_access(self) -> bool:
        """See `StoreAdapter.keeps_access`."""
        return bool(settings().access_handler)

    def set_access(self, access: LineAccess) -> None:
        """See `StoreAdapter.set_access`. Whatever the function raises means "not confirmed"."""
        try:
            import_string(settings().access_handler)(access)
        except StoreUnavailable:
            raise
        except Exception as error:  # the host's code may fail in any way; the refund goes on, and the store is told again
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    def shows_use(self) -> bool:
        """See `StoreAdapter.shows_use`: the host tells us of use itself."""
        return False

    def keeps_refunds(self) -> bool:
        """See `StoreAdapter.keeps_refunds`: hosts listen to our events instead."""
        return False

    def set_refund(self, refund: RefundTold) -> None:
        """See `StoreAdapter.set_refund`; never called."""
        raise StoreUnavailable("this store keeps no books of its own")

    def incentive_kind(self, store: str) -> CreditKind | None:
        """See `StoreAdapter.incentive_kind`: a host that has vouchers registers an adapter of its own."""
        return None

    def issue_credit(self, credit: CreditTold) -> None:
        """See `StoreAdapter.issue_credit`; never called."""
        raise StoreRefused("this store issues nothing")
