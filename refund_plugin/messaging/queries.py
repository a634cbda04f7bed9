"""Reads of what was sent."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from refund_plugin.messaging.models import Message


def messages_of_request(request_id: UUID) -> QuerySet[Message]:
    """Return the mails about a request, oldest first."""
    return Message.objects.filter(request_id=request_id).order_by("created_at", "id")
