"""What to do about each kind of alert, in a sentence or two for whoever opens it. Source: docs/operations.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

ADVICE: Mapping[str, Any] = {
    "access_stuck": _("Look at what your shop says on the case page. It is told again by itself; the money does not wait for it."),
    "brake": _("Look at the policy first: is it right? Then approve what waits under Automatic refunds, or pause and correct the policy."),
    "dispute": _("Open the dispute to see how it stands. Do not refund a payment that the bank has taken back."),
    "dispute_inquiry": _("No money was taken yet. Refund in full, which settles it, or answer with the evidence on the dispute’s page."),
    "dispute_lost": _("The amount stays gone. Do not refund it as well: that would pay twice."),
    "dispute_opened": _(
        "The bank has taken the money. Do not refund it as well: download the evidence and hand it in at the payment provider in time."
    ),
    "dispute_won": _("The money is yours again. If a refund was stopped and is still right, let the customer ask again."),
    "external_refund": _("Say which products it was for. Until then every new request for the order goes to a person."),
    "fraud_warning": _("No money was taken yet. Refund in full to avoid a dispute, or keep the evidence ready."),
    "history_unknown": _("New requests for these orders go to a person until the payment provider has told what was refunded before."),
    "incentive_stuck": _("Read what the store says and mend it; it is asked again by itself. On the request you can also take it back."),
    "invoice_note_failed": _("Only the note on the provider’s invoice is missing, not the money. Write the credit note there by hand."),
    "invoice_note_stands": _("Pay the refund another way, and the note is true again; if you give it up, correct the invoice by hand."),
    "ledger_differs": _("Run refunds_verify: it names every number that differs and changes nothing. Pay nothing by hand meanwhile."),
    "money_over": _("Nothing more goes out on this payment. Find out which of its refunds was one too many before you release any."),
    "reconcile_differs": _("Compare the case with the payment provider’s own page. It closes once a comparison finds them equal."),
    "reconcile_failed": _("Look at the account under Money truth: is the key right? Then choose Compare now."),
    "reconcile_missing": _("Look for it on the payment provider’s own page before anything is paid again."),
    "reconcile_payment": _("Look at the payment on the provider’s own page, and refund nothing on it before it is clear."),
    "reconcile_unknown_here": _("It is marked as made here and is not known: was a backup restored, or is INSTALLATION used twice?"),
    "refund_contradiction": _("The last word of the payment provider counts. Check on its own page whether the money has gone."),
    "refund_not_stopped": _("It had left already. Check the case, and what the customer was told."),
    "refund_returned": _(
        "The customer is owed the money again. On the request choose Send again, or Pay by hand; ask the customer where to, if needed."
    ),
    "reimburse_overdue": _("Pay it today: the law’s term is over. If the payment provider cannot, pay by hand."),
    "reimburse_soon": _("See why it waits, and decide or pay it before the term ends."),
    "saleor_refuses": _("Nothing is sent over this account meanwhile. Do what it says; within ten minutes all goes on by itself."),
    "selftest_failed": _("The step that failed says what is broken. Run it again under Money truth once that is mended."),
    "store_books_stuck": _("Only the store’s own books lag behind, not the money. Read what it says, then compare the order there."),
    "subscription_not_ended": _("End the subscription in the payment provider’s dashboard; then the refund goes out by itself."),
    "webhook_parked": _("Correct the cause, then resend the event in the payment provider’s dashboard."),
}
