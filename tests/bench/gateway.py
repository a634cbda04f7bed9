"""A gateway that answers every refund after one millisecond: what is left to measure is ours."""

from __future__ import annotations

import time

from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, RefundCommand, refuse_inside_transaction
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.gateways.registry import register_gateway

KIND = "one_millisecond"
ANSWERS_AFTER_SECONDS = 0.001


class OneMillisecondGateway(MemoryGateway):
    """Refunds everything it is asked for and keeps no books."""

    kind = KIND

    def refund(self, command: RefundCommand) -> GatewayAnswer:
        """See `Gateway.refund`."""
        refuse_inside_transaction()
        time.sleep(ANSWERS_AFTER_SECONDS)
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id=f"ms_{command.refund_id.hex}", amount=command.amount)


register_gateway(KIND, lambda options: OneMillisecondGateway())
