"""/v1/events."""

from __future__ import annotations

from demo.sandbox.api.call import Call
from demo.sandbox.objects import Object


def retrieve(call: Call, event_id: str) -> Object:
    """GET /v1/events/:id."""
    return call.one("event", event_id)


def list_all(call: Call) -> Object:
    """GET /v1/events."""
    return call.many("event", filters=("type",))
