"""The door for Stripe's webhooks: `POST /refunds/webhooks/stripe/<account slug>/`."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from refund_plugin import clock
from refund_plugin.errors import WebhookRejected
from refund_plugin.webhooks.services import receive_webhook

# Stripe's events are a few kilobytes
MAX_BODY_BYTES = 256 * 1024


# the signature is the proof, not a session; each step commits on its own, also in a host with ATOMIC_REQUESTS
@method_decorator([csrf_exempt, transaction.non_atomic_requests], name="dispatch")
class StripeWebhook(View):
    """Answer 200 for what was taken in, 400 for what does not verify; anything else makes Stripe deliver it again."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, account: str) -> JsonResponse:
        """Take in one event."""
        body = request.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            return JsonResponse({"error": "too large"}, status=413)
        try:
            receive_webhook(kind="stripe", slug=account, body=body, signature=request.headers.get("Stripe-Signature", ""), now=clock.now())
        except WebhookRejected as error:
            return JsonResponse({"error": error.code}, status=400)
        return JsonResponse({"received": True})
