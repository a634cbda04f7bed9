"""Making an idempotency key unusable, for gateways that keep the first answer to a key and refuse other parameters with it.

The key is spent on an amount that cannot be paid. Once the gateway repeats its refusal under the key, the command that the
key was made for can never run again, however late somebody sends it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer, RefundCommand
from refund_plugin.money import Money

# Codes of `Gateway.burn`.
KEY_BURNT = "key_burnt"
KEY_KNOWN = "key_known"
KEY_IN_USE = "key_in_use"
KEY_NOT_BURNT = "key_not_burnt"
KEY_NOT_BURNABLE = "key_not_burnable"

_CODES = {"idempotency_error": KEY_KNOWN, "idempotency_key_in_use": KEY_IN_USE}


def burn_key(
    command: RefundCommand, *, captured: Money, told: Money, step: int, send: Callable[[RefundCommand], GatewayAnswer]
) -> GatewayAnswer:
    """Spend the command's key; see `Gateway.burn`.

    Args:
        captured: of the payment, by our books.
        told: what the gateway says was authorised or captured: a figure of ours that is too low must not pay.
        step: in minor units, of which the gateway wants multiples.
        send: one call that refunds.
    Returns:
        Also MAYBE_EXECUTED with `KEY_NOT_BURNABLE`, and nothing is sent, when `captured` is in another currency than the command
        or below its amount, so that it cannot be true.
    """
    currency = command.amount.currency
    if captured.currency != currency or captured.minor < command.amount.minor:
        why = f"a payment of {captured} cannot have had a refund of {command.amount}"
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code=KEY_NOT_BURNABLE, message=why)
    if told.currency != currency:
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code=KEY_NOT_BURNT, message=f"the payment is in {told.currency}")
    highest = max(captured.minor, told.minor)
    impossible = replace(command, amount=Money((highest // step + 1) * step, currency), operation="refund")
    answer = send(impossible)
    if _is_new_refusal(answer):
        answer = send(impossible)
    if answer.idempotent_replayed and not answer.gateway_refund_id:
        return replace(answer, kind=AnswerKind.DEFINITIVE_NO, code=KEY_BURNT)
    if _is_new_refusal(answer):  # not kept under the key, so the key is still free
        return replace(answer, kind=AnswerKind.MAYBE_EXECUTED, code=KEY_NOT_BURNT)
    return replace(answer, code=_CODES.get(answer.code, answer.code))


def _is_new_refusal(answer: GatewayAnswer) -> bool:
    is_refusal = answer.kind == AnswerKind.DEFINITIVE_NO or answer.code == "charge_already_refunded"
    return is_refusal and not answer.idempotent_replayed
