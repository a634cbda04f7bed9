"""What of a request is its customer's alone, whoever else reads about it."""

from __future__ import annotations

from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.tracking import tracking_token

SHORTEST_CODE = 8  # of those that a store issues; what is shorter was written by a person who paid by hand, and occurs in other words


def without_secrets(text: str, request: RefundRequest) -> str:
    """Return a text about a request without the link that acts as the customer, and without codes that anybody could pay with.

    Args:
        request: its incentives and refunds are read, prefetched or not.
    """
    proofs = [refund.proof for refund in request.refunds.all() if refund.proof and refund.proof.get("method") == "store_credit"]
    codes = [*(given.code for given in request.incentives.all()), *(str(proof.get("reference", "")) for proof in proofs)]
    for secret in (tracking_token(request), *(code for code in codes if len(code) >= SHORTEST_CODE)):
        text = text.replace(secret, "…")
    return text
