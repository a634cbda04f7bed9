"""The handshake: `POST /refunds/saleor/register/`, by which Saleor hands us the App's token.

The request is signed by nobody, so it proves nothing: only an address that the settings name is called back with the token,
and what that Saleor answers counts. Saleor removes the App again when the answer is not 2xx, and shows the message.
"""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from refund_plugin import clock
from refund_plugin.conf import Limit
from refund_plugin.errors import RateLimited, RefundPluginError
from refund_plugin.limits.network import network_of
from refund_plugin.limits.services import check_limits
from refund_plugin.saleor_app.bodies import TooLarge, read_body, read_object
from refund_plugin.saleor_app.install import prove_token, record_installation

MAX_BODY_BYTES = 8 * 1024
MAX_TOKEN = 1000
TRIES = Limit(20, 600)


# a server calls, without a session; each step commits on its own, also in a host with ATOMIC_REQUESTS
@method_decorator([csrf_exempt, transaction.non_atomic_requests], name="dispatch")
class Register(View):
    """Answer 200 when the App is installed, else 4xx with `{"error": {"code": …, "message": …}}`."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest) -> JsonResponse:
        """Install the App."""
        now = clock.now()
        try:
            check_limits(limits=[("saleor:register", network_of(request.META), TRIES)], now=now)
            told = read_object(read_body(request, most_bytes=MAX_BODY_BYTES)) or {}
        except RateLimited as error:
            return _refused(error, status=429)
        except TooLarge:
            return JsonResponse({"error": {"code": "TOO_LARGE", "message": _("That is more than a token.")}}, status=413)
        token = told.get("auth_token")
        if not isinstance(token, str) or not token or len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable():
            return JsonResponse({"error": {"code": "TOKEN_MISSING", "message": _("The request brings no token.")}}, status=400)
        try:
            record_installation(proven=prove_token(api_url=request.headers.get("Saleor-Api-Url", ""), token=token), now=now)
        except RefundPluginError as error:
            return _refused(error, status=403 if error.code == "NOT_ALLOWED" else 400)
        return JsonResponse({"installed": True})


def _refused(error: RefundPluginError, *, status: int) -> JsonResponse:
    return JsonResponse({"error": {"code": error.code, "message": str(error.message)}}, status=status)
