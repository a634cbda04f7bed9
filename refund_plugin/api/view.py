"""The HTTP door: POST only, JSON only, bounded, CSRF for sessions, other origins only where the settings name them."""

from __future__ import annotations

from typing import Any

from cross_web import HTTPException
from django.conf import settings as django_settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from strawberry.django.views import GraphQLView

from refund_plugin.api.context import caller_from
from refund_plugin.api.origins import allow, preflight
from refund_plugin.api.schema import schema
from refund_plugin.conf import settings
from refund_plugin.errors import NotAllowed, RateLimited


def _pass(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class _CsrfCheck(CsrfViewMiddleware):
    """Django's own check, called by hand; it answers with the reason instead of a page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


@method_decorator([csrf_exempt, never_cache, transaction.non_atomic_requests], name="dispatch")
class RefundGraphQLView(GraphQLView):
    """Serves our schema.

    Exempt from the middleware's CSRF check, because neither a token in a header nor an order number with its e-mail address is
    something that a browser adds by itself. A session cookie is, so a request that comes with a session is checked here.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Refuse what is too large, forged, or comes with a token that is not valid; then let the schema answer."""
        response = self.answer(request, *args, **kwargs)
        allow(request, response)
        return response

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the answer, before other origins are allowed to read it."""
        if request.method != "POST":
            return preflight(request) or HttpResponseNotAllowed(["POST"])
        refusal = self.refusal(request)
        if refusal is not None:
            return refusal
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, HttpResponse) and response.headers["Content-Type"].startswith("text/plain"):
            return refuse(response.status_code, "BAD_REQUEST", response.content.decode())
        return response

    def parse_json(self, data: str | bytes) -> Any:
        """Read one operation; a list of them is not accepted."""
        try:
            operation = super().parse_json(data)
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets without end
            raise HTTPException(400, "Unable to parse request body as JSON") from error
        if not isinstance(operation, dict):
            raise HTTPException(400, 'Send one operation as a JSON object: {"query": "…", "variables": {…}}')
        return operation

    def refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Return why the request is not answered; None when it is."""
        limit = settings().graphql_max_body_bytes
        # the header first, so that a large body is not even read
        if int(request.META.get("CONTENT_LENGTH") or 0) > limit or len(request.body) > limit:
            return refuse(413, "TOO_LARGE", f"The request is larger than {limit} bytes.")
        if request.content_type != "application/json":
            return refuse(415, "UNSUPPORTED_MEDIA_TYPE", "Send the operation as JSON, with the header Content-Type: application/json.")
        try:
            request.body.decode()
        except UnicodeDecodeError:
            return refuse(400, "BAD_REQUEST", "Send the operation as JSON in UTF-8.")
        try:
            caller = caller_from(request)
        except NotAllowed as error:
            response = refuse(401, "INVALID_TOKEN", str(error))
            response["WWW-Authenticate"] = 'Bearer realm="refunds"'
            return response
        except RateLimited as error:
            response = refuse(429, error.code, str(error))
            response["Retry-After"] = str(error.retry_after_seconds)
            return response
        if not caller.brings_token and comes_with_session(request):
            reason = _CsrfCheck(_pass).process_view(request, _pass, (), {})
            if reason is not None:
                return refuse(403, "CSRF_FAILED", f"{reason} Send the CSRF token in the header X-CSRFToken.")
        return None


def comes_with_session(request: HttpRequest) -> bool:
    """Tell whether the browser, and not the one who wrote the request, says who it is from."""
    if django_settings.SESSION_COOKIE_NAME in request.COOKIES:
        return True
    user = getattr(request, "user", None)  # a host may sign people in by other means than a session
    return user is not None and user.is_authenticated


def refuse(status: int, code: str, message: str) -> JsonResponse:
    """Return a refusal in GraphQL's form."""
    return JsonResponse({"data": None, "errors": [{"message": message, "extensions": {"code": code}}]}, status=status)


graphql_view = RefundGraphQLView.as_view(schema=schema, graphql_ide=None, allow_queries_via_get=False, multipart_uploads_enabled=False)
