"""Every error people can meet, in one hierarchy.

Each class has a stable `code` (used by the API, the admin and the logs) and a message for a person that says what was
expected and what to do next. `field` names the input that caused it, in snake_case, or is None.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _


class RefundPluginError(Exception):
    """Base of all errors of this package; `str(error)` is translated text for a person."""

    code = "ERROR"
    default_message = _("Something went wrong. Please try again.")

    def __init__(self, message: object = None, *, field: str | None = None) -> None:
        self.message = message if message is not None else self.default_message
        self.field = field
        super().__init__(self.message)

    def __str__(self) -> str:
        return str(self.message)


class NotFound(RefundPluginError):
    """Unknown, or not visible to the one who asks: both read the same on purpose."""

    code = "NOT_FOUND"
    default_message = _("We could not find that. Check the order number and the e-mail address you bought with.")


class NotAllowed(RefundPluginError):
    """The actor lacks the authority for this action."""

    code = "NOT_ALLOWED"
    default_message = _("You are not allowed to do this.")


class RateLimited(RefundPluginError):
    """Too many tries; `retry_after_seconds` tells when to come back."""

    code = "RATE_LIMITED"
    default_message = _("Too many tries. Please wait a little and try again.")

    def __init__(self, message: object = None, *, field: str | None = None, retry_after_seconds: int = 60) -> None:
        super().__init__(message, field=field)
        self.retry_after_seconds = retry_after_seconds


class InvalidInput(RefundPluginError):
    """A value that cannot be used; the message says what was expected."""

    code = "INVALID"
    default_message = _("Please check this value.")


class Required(InvalidInput):
    """A value is missing."""

    code = "REQUIRED"
    default_message = _("Please fill this in.")


class UnknownCurrency(InvalidInput):
    """Not an ISO 4217 code that this package knows the exponent of."""

    code = "UNKNOWN_CURRENCY"
    default_message = _("Unknown currency: use an ISO 4217 code such as EUR.")


class QuantityTooHigh(InvalidInput):
    """More units asked for than are left on the line."""

    code = "QUANTITY_TOO_HIGH"
    default_message = _("You asked for more than is left on this line.")


class AlreadyRefunded(InvalidInput):
    """Nothing is left to refund on the line."""

    code = "ALREADY_REFUNDED"
    default_message = _("This was already refunded.")


class NotRefundable(InvalidInput):
    """The policy declines the line and the request asks for nothing else."""

    code = "NOT_REFUNDABLE"
    default_message = _("The policy does not refund this.")


class ExceedsBalance(RefundPluginError):
    """More than is left on the purchase's lines or payments; also raised when another request was faster."""

    code = "EXCEEDS_BALANCE"
    default_message = _("This is more than is left to refund on this purchase.")


class QuoteChanged(InvalidInput):
    """Less comes back than the customer was shown; nothing was asked for, so that they can look again."""

    code = "QUOTE_CHANGED"
    default_message = _("The amount has changed. Please look again.")


class WrongState(RefundPluginError):
    """The request or refund has moved on; reload and look again."""

    code = "WRONG_STATE"
    default_message = _("This request has changed in the meantime. Reload the page and look again.")


class PolicyInvalid(RefundPluginError):
    """A policy document that cannot be read."""

    code = "POLICY_INVALID"
    default_message = _("The refund policy cannot be read.")


class GatewayMisconfigured(RefundPluginError):
    """The gateway refuses our credentials or is not configured: a hold, not an outage."""

    code = "GATEWAY_MISCONFIGURED"
    default_message = _("The payment gateway is not configured correctly.")


class GatewayInTransaction(RefundPluginError):
    """A gateway was called while a database transaction was open; a defect in the caller."""

    code = "GATEWAY_IN_TRANSACTION"
    default_message = _("A payment gateway must not be called inside a database transaction.")


class WebhookRejected(RefundPluginError):
    """A webhook whose signature or timestamp does not verify."""

    code = "WEBHOOK_REJECTED"
    default_message = _("The webhook could not be verified.")
