"""The store that lives in a Saleor: its order shows what became of each refund, and its lines who may use what.

The rules are Saleor's own (saleor/payment/transaction_item_calculations.py and transactionEventReport of 3.22 and 3.23): events that
carry the same `pspReference` are one refund. A request without an outcome is pending, a success counts unless a later failure stands
beside it, and a reversal takes a success back. A report that repeats a type is recognised by its reference, and flips a refund that
was granted to "failed" if its amount differs. So what Saleor has is read first, and only what is missing is reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

from refund_plugin.errors import WrongState
from refund_plugin.saleor.errors import (
    NotInstalled,
    SaleorError,
    SaleorPermissionDenied,
    SaleorRateLimited,
    SaleorRefused,
    SaleorTokenInvalid,
    SaleorUnreachable,
    SaleorVersionUnsupported,
    SecretUnreadable,
)
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.stores.base import (
    CreditKind,
    CreditTold,
    LineAccess,
    RefundStands,
    RefundTold,
    StoreRefused,
    StoreSilent,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from refund_plugin.saleor.client import SaleorClient
    from refund_plugin.saleor.data import EventData

MAX_MESSAGE = 512  # what Saleor keeps
ANSWER_READ_SECONDS = 2.0  # it writes our answer down as soon as it has read it
Report = Literal["REFUND_REQUEST", "REFUND_SUCCESS", "REFUND_FAILURE", "REFUND_REVERSE"]
REQUEST: Final = "REFUND_REQUEST"
SUCCESS: Final = "REFUND_SUCCESS"
FAILURE: Final = "REFUND_FAILURE"
REVERSE: Final = "REFUND_REVERSE"
# these need somebody: they do not pass by themselves
_FOR_PEOPLE = (NotInstalled, SaleorPermissionDenied, SaleorRefused, SaleorTokenInvalid, SaleorVersionUnsupported, SecretUnreadable)


class SaleorStore:
    """Tells a Saleor over the API of its installation, whose slug is the store's."""

    def keeps_access(self) -> bool:
        """See `StoreAdapter.keeps_access`."""
        return True

    def set_access(self, access: LineAccess) -> None:
        """See `StoreAdapter.set_access`: as private metadata of the order's line, under `refunds.…`."""
        if not access.store_line_id:
            return  # an older record that names no line of Saleor: there is nothing to write on
        from refund_plugin.saleor import api

        values = {
            "refunds.usable": str(access.usable),
            "refunds.frozen": str(access.frozen),
            "refunds.revoked": str(access.revoked),
            "refunds.downloads": str(access.downloads),
            "refunds.version": str(access.version),
        }
        try:
            api.update_metadata(_client(access.store), object_id=access.store_line_id, values=values, private=True)
        except SaleorError as error:
            raise _unavailable(error) from error

    def shows_use(self) -> bool:
        """See `StoreAdapter.shows_use`: since 3.23 Saleor itself knows nothing of it."""
        return True

    def keeps_refunds(self) -> bool:
        """See `StoreAdapter.keeps_refunds`."""
        return True

    def set_refund(self, refund: RefundTold) -> None:
        """See `StoreAdapter.set_refund`. One report at most brings Saleor from what it knows to how the refund stands."""
        from refund_plugin.saleor import api

        try:
            client = _client(refund.store)
            known = api.read_transaction(client, refund.store_payment_id)
            if known is None:
                raise StoreRefused(f"Saleor does not know the transaction {refund.store_payment_id}, or does not show it to the App")
            report = missing_report(refund, known.events)
            if report:
                api.report_transaction_event(
                    client,
                    transaction_id=refund.store_payment_id,
                    event_type=report,
                    psp_reference=str(refund.reference),
                    amount=refund.amount.decimal,
                    message=_message(refund),
                    external_url=refund.url,
                )
        except SaleorError as error:
            raise _unavailable(error) from error

    def incentive_kind(self, store: str) -> CreditKind | None:
        """See `StoreAdapter.incentive_kind`: what the option `incentive` says, where the App has the permission for it."""
        from refund_plugin.stores.saleor_credit import kind_of_credit

        installation = SaleorInstallation.objects.filter(slug=store, is_active=True).first()
        return kind_of_credit(installation, "incentive") if installation else None

    def issue_credit(self, credit: CreditTold) -> None:
        """See `StoreAdapter.issue_credit`."""
        from refund_plugin.stores.saleor_credit import issue

        try:
            issue(_client(credit.store), credit)
        except SaleorError as error:
            raise _unavailable(error) from error
        except WrongState as error:
            raise StoreRefused(str(error)) from error


def missing_report(refund: RefundTold, events: Iterable[EventData]) -> Report | None:
    """Return the type of the event that Saleor lacks; None when it knows how the refund stands.

    Raises:
        StoreUnavailable: Saleor is about to write down what we answered it; anything reported before would be lost on the refund that
            was granted, because Saleor finds that by the request with our reference.
        StoreRefused: no report would make it right.
    """
    mine = sorted((event for event in events if event.psp_reference == str(refund.reference)), key=lambda event: event.created)
    other = {event.amount for event in mine if event.amount != refund.amount.decimal}
    if other:
        raise StoreRefused(f"Saleor has {', '.join(map(str, sorted(other)))} under the reference of a refund of {refund.amount}")
    last = {event.type: place for place, event in enumerate(mine)}
    if REQUEST not in last and refund.answer_under_way:
        raise StoreUnavailable("Saleor has not written our answer down yet", retry_after_seconds=ANSWER_READ_SECONDS)
    if refund.stands == RefundStands.UNDER_WAY:
        return None if last else REQUEST
    return _missing_success(last) if refund.stands == RefundStands.REFUNDED else _missing_failure(last)


def _missing_success(last: dict[str, int]) -> Report | None:
    if SUCCESS not in last:
        return SUCCESS
    if REVERSE in last or last.get(FAILURE, -1) > last[SUCCESS]:
        raise StoreRefused("Saleor was told that the money came back, and it has gone after all: correct the transaction there by hand")
    return None


def _missing_failure(last: dict[str, int]) -> Report | None:
    if SUCCESS in last and last.get(FAILURE, -1) < last[SUCCESS]:
        return None if REVERSE in last else REVERSE
    if REQUEST not in last:
        return None  # Saleor never heard of it, or said itself that it failed
    if last.get(FAILURE, last[REQUEST]) < last[REQUEST]:
        raise StoreRefused("Saleor shows the granted refund as pending, and it has failed once more: grant a new one there")
    return None if FAILURE in last else FAILURE


def _message(refund: RefundTold) -> str:
    return ": ".join(part for part in (refund.gateway_refund_id, refund.note) if part)[:MAX_MESSAGE]


def _client(slug: str) -> SaleorClient:
    # gql belongs to the extra `saleor`: the core runs without it
    from refund_plugin.saleor.client import client_for

    return client_for(slug, attempts=1)  # it is told again anyway, and others wait


def _unavailable(error: SaleorError) -> StoreUnavailable:
    """Return an error of the API as what it means for the telling; it names the operation, and the permission that is missing."""
    if isinstance(error, SaleorRateLimited):
        return StoreSilent(str(error), retry_after_seconds=error.retry_after_seconds)
    if isinstance(error, SaleorUnreachable):
        return StoreSilent(str(error))
    return StoreRefused(str(error)) if isinstance(error, _FOR_PEOPLE) else StoreUnavailable(str(error))
