"""What an error between a Saleor and us proves about one refund."""

from __future__ import annotations

from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer
from refund_plugin.saleor.errors import (
    NotInstalled,
    SaleorError,
    SaleorPermissionDenied,
    SaleorRateLimited,
    SaleorTokenInvalid,
    SaleorUnreachable,
)

HOLDING = (SaleorTokenInvalid, SaleorPermissionDenied, NotInstalled)


def answer_to(error: SaleorError, *, is_read: bool = False) -> GatewayAnswer:
    """Return an error as an answer.

    Args:
        is_read: nothing was to be changed: then silence proves nothing about what may have been sent before.
    """
    if isinstance(error, SaleorRateLimited):
        wait = error.retry_after_seconds
        return GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="rate_limit", message=str(error), retry_after_seconds=wait)
    holds = isinstance(error, HOLDING)
    doubtful = error.maybe_executed or (is_read and not holds)
    code = "no_answer" if isinstance(error, SaleorUnreachable) else (error.saleor_code or error.code).lower()[:80]
    return GatewayAnswer(
        kind=AnswerKind.MAYBE_EXECUTED if doubtful else AnswerKind.NOT_EXECUTED, code=code, message=str(error)[:500], hold=holds
    )


def refusal(code: str, message: str = "") -> GatewayAnswer:
    """Return a definitive no."""
    return GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code=code, message=message[:500])


def doubt(code: str, message: str = "") -> GatewayAnswer:
    """Return that nobody knows."""
    return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code=code, message=message[:500])


def not_sent(answer: GatewayAnswer) -> GatewayAnswer:
    """Return an answer to what came before the money was asked for: whatever it was, nothing was sent."""
    return GatewayAnswer(
        kind=AnswerKind.NOT_EXECUTED,
        code=answer.code,
        message=answer.message,
        hold=answer.hold,
        retry_after_seconds=answer.retry_after_seconds,
    )
