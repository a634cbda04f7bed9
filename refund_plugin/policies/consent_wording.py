"""What a customer is asked before something digital begins: the editors' words, else ours."""

from __future__ import annotations

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from refund_plugin.content import Wording, consent_wordings
from refund_plugin.orders.models import Nature


def current_wording(nature: str = Nature.CONTENT, locale: str = "") -> Wording:
    """Return the wording for digital content or a digital service.

    Args:
        locale: the language wanted, such as "de"; empty means Django's active one, in which our own words are.
    """
    wanted = locale or get_language() or "en"
    written = consent_wordings().wording(nature, wanted)
    if written is not None:
        return written
    if nature == Nature.SERVICE:
        begin = _("Begin at once, before the time to withdraw is over.")
        known = _("I know that I pay for what was provided if I withdraw, and that my right to withdraw ends when all of it was.")
    else:
        begin = _("Give me access at once, before the time to withdraw is over.")
        known = _("I know that I lose my right to withdraw when I begin to use it.")
    return Wording(begin=begin, acknowledge=known, locale=get_language() or "en")
