"""What handing out a file has in common, by a signed link or as a document: who only looks, what rests, and saying so kindly."""

from __future__ import annotations

from enum import StrEnum

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from refund_plugin.orders.models import PurchaseLine
from refund_plugin.web.frame import show

_SPECULATION = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


class Access(StrEnum):
    """What a customer may do with a line."""

    USABLE = "usable"
    FROZEN = "frozen"
    REVOKED = "revoked"


def access_of(line: PurchaseLine) -> Access:
    """Return whether any unit of a line may be used, as refunds want it; `line` comes with its `access_state`, if it has one.

    A store that keeps no access has no state: then the units whose money is on its way, or has gone, count by themselves.
    """
    state = getattr(line, "access_state", None)
    frozen, revoked = (state.wanted_frozen, state.wanted_revoked) if state else (line.held_quantity, line.gone_quantity)
    if frozen + revoked < line.quantity:
        return Access.USABLE
    return Access.FROZEN if frozen else Access.REVOKED


def answer_to_a_look(request: HttpRequest) -> HttpResponse | None:
    """Return the empty answer for whoever only looks (HEAD), or a browser that guesses; None for a real request.

    They get nothing of the file, not even where it lies, so that what is not recorded is not handed out.
    """
    if request.method == "HEAD":
        return HttpResponse()
    if any("prefetch" in value or "preview" in value for value in (request.headers.get(name, "").lower() for name in _SPECULATION)):
        return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
    return None


def show_resting(request: HttpRequest, line: PurchaseLine, access: Access) -> HttpResponse:
    """Say why a line cannot be opened now."""
    if access is Access.FROZEN:
        title = _("This rests while your refund is on its way")
        text = _("You asked for your money back for %(name)s, so it stays closed meanwhile. It opens again if no money is sent.")
    else:
        title = _("You got your money back for this")
        text = _("%(name)s was refunded, so it is closed now. If you bought it again, open it from that purchase.")
    return show(request, "closed", {"title": title, "text": text % {"name": line.name}}, status=403)


def show_ended(request: HttpRequest) -> HttpResponse:
    """Say that a link was good once."""
    text = _("Links to downloads last a short while. Go back to where you pressed it, and press it again.")
    return show(request, "closed", {"title": _("This download link has ended"), "text": text}, status=410)


def show_not_yours(request: HttpRequest) -> HttpResponse:
    """Say who may open something, to somebody who is not known to have bought it."""
    text = _("Sign in with the account that you bought it with, and open it again. Nothing is lost.")
    return show(request, "closed", {"title": _("This belongs to those who bought it"), "text": text}, status=403)
