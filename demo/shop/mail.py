"""Mail that stays on this machine: one file per message under the state folder, readable at /demo/mail/."""

from __future__ import annotations

import email
import email.policy
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage as StandardMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

NAME = re.compile(r"[0-9]+-[0-9a-f]+")


def outbox() -> Path:
    """Return the folder of sent messages."""
    return Path(settings.STATE) / "mail"


class OutboxBackend(BaseEmailBackend):
    """Write each message to a file of its own, complete or not at all."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Return how many messages were written."""
        outbox().mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            path = outbox() / f"{time.time_ns()}-{secrets.token_hex(4)}.eml"
            unfinished = path.with_suffix(".part")
            unfinished.write_bytes(message.message().as_bytes())
            unfinished.rename(path)
        return len(email_messages)


@dataclass(frozen=True, slots=True)
class Letter:
    """A sent message, ready to be shown."""

    name: str
    sender: str
    recipient: str
    subject: str
    sent_at: datetime | None
    text: str
    html: str


def letters() -> list[Letter]:
    """Return every sent message, newest first."""
    return [letter for path in sorted(outbox().glob("*.eml"), reverse=True) if (letter := read_letter(path.stem))]


def read_letter(name: str) -> Letter | None:
    """Return one message, or None when there is none of this name."""
    path = outbox() / f"{name}.eml"
    if not NAME.fullmatch(name) or not path.exists():
        return None
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    return Letter(
        name=name,
        sender=str(message["From"] or ""),
        recipient=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        sent_at=_moment(str(message["Date"])) if message["Date"] else None,
        text=_part(message, "plain"),
        html=_part(message, "html"),
    )


def _moment(written: str) -> datetime:
    """Read a Date header; "-0000", which Django writes, says that the time is UTC."""
    moment = parsedate_to_datetime(written)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _part(message: StandardMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    return str(part.get_content()) if part is not None else ""
