"""What a mail says, before it is laid out as text and as HTML; and the language it is written in."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings as django_settings
from django.template.loader import render_to_string
from django.utils.translation import get_supported_language_variant

from refund_plugin.orders.models import Customer
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.rules import LineExplanation


@dataclass(frozen=True, slots=True, kw_only=True)
class LineNote:
    """One line of the purchase: what becomes of it, and why.

    Attributes:
        url: where the clause that is cited can be read; "" when nowhere.
        tells_all: say of every rule that was tried by how much it was missed, as after a no.
    """

    name: str
    value: str
    explanation: LineExplanation | None = None
    url: str = ""
    tells_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One mail to one customer.

    Attributes:
        kind: stable name of the mail, such as `received`.
        rows: label and value of what people look up later: reference, order, amount.
        quote: words of a person, shown apart from ours.
        link_text, link_url: the one thing to do next.
    """

    kind: str
    customer: Customer
    request: RefundRequest | None
    subject: str
    heading: str
    paragraphs: tuple[str, ...]
    quote: str = ""
    lines: tuple[LineNote, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    link_text: str
    link_url: str

    def as_text(self) -> str:
        """Lay it out as plain text."""
        return render_to_string("refund_plugin/messaging/mail.txt", self._context()).strip() + "\n"

    def as_html(self, language: str) -> str:
        """Lay it out as HTML."""
        return render_to_string("refund_plugin/messaging/mail.html", {**self._context(), "language": language})

    def _context(self) -> dict[str, object]:
        return {"letter": self, "store": self.customer.store}


def language_for(customer: Customer, request: RefundRequest | None) -> str:
    """Return the language code to write in: the request's, else the customer's, else the site's."""
    for wanted in (request.locale if request else "", customer.locale):
        if wanted:
            try:
                return get_supported_language_variant(wanted.replace("_", "-").lower())
            except LookupError:
                continue
    return django_settings.LANGUAGE_CODE
