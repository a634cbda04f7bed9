"""What happens after asking, told before it. A withdrawal has its own way, and is behind none of this."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from refund_plugin.refunds.quote import Quote
from refund_plugin.rules import Outcome
from refund_plugin.web.wording import paid_with


def steps_of_asking() -> Sequence[str]:
    """Return what happens after asking, before it is known for which purchase."""
    return (
        _("You see for each thing whether, how much and until when, and ask with one click."),
        _("We answer at once by mail. Where a person has to look, that takes two working days as a rule."),
        _("The money goes back the way you paid. Your bank needs some working days to show it."),
    )


def steps_for(quote: Quote) -> Sequence[str]:
    """Return what happens after asking for this purchase, as far as its verdicts and payments tell."""
    outcomes = {line.verdict.outcome for line in quote.lines if line.askable}
    if outcomes == {Outcome.APPROVE} and quote.certain:
        answer = _("We answer at once, on the next page and by mail.")
    elif quote.certain:
        answer = _("What needs no person is answered at once; for the rest a person looks, usually within two working days.")
    else:
        answer = _("A person looks, usually within two working days, and we write to you.")
    where = paid_with(payment for payment in quote.payments if payment.left)
    money = _("The money goes back to %(where)s. Your bank needs some working days to show it.") % {"where": where}
    if not where:
        money = _("The money goes back the way you paid. Your bank needs some working days to show it.")
    return (answer, money, _("You can follow every step on a page of its own; the link comes by mail."))
