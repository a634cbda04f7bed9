"""What can go wrong between a Saleor and us. Each error names the operation it happened in, and never holds a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from refund_plugin.errors import RefundPluginError


class SaleorError(RefundPluginError):
    """Base of all of them.

    Attributes:
        operation: name of the document that was sent, such as "OrderById".
        maybe_executed: whether a mutation may have run all the same; False when it surely did not, and for reads.
        saleor_code: Saleor's own name of the error, "" when it gave none.
    """

    code = "SALEOR_ERROR"
    default_message = _("Saleor answered with an error.")

    def __init__(self, operation: str, message: object = None, *, maybe_executed: bool = False, saleor_code: str = "") -> None:
        super().__init__(message)
        self.operation, self.maybe_executed, self.saleor_code = operation, maybe_executed, saleor_code

    def __str__(self) -> str:
        return f"{self.operation}: {self.message}" if self.operation else str(self.message)


class SaleorUnreachable(SaleorError):
    """No answer, or none that can be used: no connection, time over, a server's error, no JSON, too much of it."""

    code = "SALEOR_UNREACHABLE"
    default_message = _("Saleor cannot be reached at the moment.")


class SaleorAnswerTooLong(SaleorUnreachable):
    """More than we read; a smaller page may do."""

    code = "SALEOR_ANSWER_TOO_LONG"
    default_message = _("Saleor's answer is too long.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One entry of a mutation's `errors`; `field` is "" when it is about the whole, `line_ids` the order lines it is about."""

    code: str
    field: str
    message: str
    line_ids: tuple[str, ...] = ()


class SaleorRefused(SaleorError):
    """Saleor understood the mutation and said no; `errors` holds what it said, `code` and `field` are the first one's."""

    code = "SALEOR_REFUSED"

    def __init__(self, operation: str, errors: Sequence[Refusal]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(operation, first.message or first.code, saleor_code=first.code)
        self.code, self.field = first.code, first.field or None

    @classmethod
    def read(cls, operation: str, errors: Sequence[Mapping[str, Any]]) -> SaleorRefused:
        """Make it of the entries as Saleor wrote them."""
        return cls(operation, [_refusal(entry) for entry in errors])


def _refusal(entry: Mapping[str, Any]) -> Refusal:
    line_ids = tuple(str(line["lineId"]) for line in entry.get("lines") or () if line.get("lineId"))
    return Refusal(
        code=str(entry.get("code") or ""), field=str(entry.get("field") or ""), message=str(entry.get("message") or ""), line_ids=line_ids
    )


class SaleorPermissionDenied(SaleorError):
    """The App may not do this there; `permissions` are those that it lacks, any one of which would do."""

    code = "SALEOR_PERMISSION_DENIED"

    def __init__(self, operation: str, permissions: Sequence[str], *, maybe_executed: bool = False) -> None:
        self.permissions = tuple(permissions)
        super().__init__(operation, self._told(), maybe_executed=maybe_executed, saleor_code="PermissionDenied")

    def _told(self) -> str:
        if not self.permissions:
            return str(
                _("Saleor does not let the refund App do this. Remove it there and install it again, so that it gets its permissions.")
            )
        missing = ", ".join(self.permissions)
        return str(
            _("The refund App lacks a permission in Saleor: %(permissions)s. Grant it there under Extensions, or install the App again.")
        ) % {"permissions": missing}


class SaleorTokenInvalid(SaleorError):
    """Saleor does not know our token: the App was removed there, or is being installed anew."""

    code = "SALEOR_TOKEN_INVALID"
    default_message = _("Saleor does not accept the refund App's token any more. Install the App again.")


class SaleorRateLimited(SaleorError):
    """Too many calls; nothing was executed. Come back in `retry_after_seconds`."""

    code = "SALEOR_RATE_LIMITED"

    def __init__(self, operation: str, retry_after_seconds: float) -> None:
        super().__init__(operation, _("Saleor asks us to call less often."))
        self.retry_after_seconds = retry_after_seconds


class SaleorCostExceeded(SaleorError):
    """The query costs more than this Saleor allows for one (its GRAPHQL_QUERY_MAX_COMPLEXITY); nothing was executed."""

    code = "SALEOR_COST_EXCEEDED"

    def __init__(self, operation: str, *, cost: int, limit: int) -> None:
        super().__init__(operation, str(_("The query costs %(cost)s, and this Saleor allows %(limit)s.")) % {"cost": cost, "limit": limit})
        self.cost, self.limit = cost, limit


class SaleorVersionUnsupported(SaleorError):
    """This Saleor is too old, for us or for the operation; the message says what to do."""

    code = "SALEOR_VERSION_UNSUPPORTED"


class NotInstalled(SaleorError):
    """No Saleor that we know, or one that removed the App: both read the same on purpose."""

    code = "SALEOR_NOT_INSTALLED"
    default_message = _("The refund App is not installed in this Saleor.")

    def __init__(self, message: object = None) -> None:
        super().__init__("", message)


class AddressRefused(SaleorError):
    """An API address that we do not call; the message says what one looks like."""

    code = "SALEOR_ADDRESS_REFUSED"
    default_message = _("The API address of a Saleor looks like https://shop.example/graphql/; plain http is for localhost only.")

    def __init__(self, message: object = None) -> None:
        super().__init__("", message)


class SecretUnreadable(SaleorError):
    """None of our keys opens what was encrypted."""

    code = "SALEOR_SECRET_UNREADABLE"
    default_message = _(
        "The token cannot be decrypted. Put the key it was encrypted with back into ENCRYPTION_KEYS (or SECRET_KEY_FALLBACKS), "
        "or install the App again."
    )

    def __init__(self, message: object = None) -> None:
        super().__init__("", message)


class SignatureInvalid(SaleorError):
    """Not signed by this Saleor."""

    code = "SALEOR_SIGNATURE_INVALID"
    default_message = _("The signature does not verify.")

    def __init__(self, message: object = None) -> None:
        super().__init__("", message)


class KeysUnavailable(SignatureInvalid):
    """Signed with a key that we do not know yet and could not ask for now: it may verify in a minute."""

    code = "SALEOR_KEYS_UNAVAILABLE"
    default_message = _("Saleor's keys could not be read. Please try again in a minute.")


class TokenInvalid(SaleorError):
    """A person's token from the dashboard that does not prove who they are, or not any more."""

    code = "SALEOR_DASHBOARD_TOKEN_INVALID"
    default_message = _("Your session has expired. Reload the page in Saleor's dashboard.")

    def __init__(self, message: object = None) -> None:
        super().__init__("", message)
