"""The checkout block: two boxes with the shop's wording, and what was answered on its way into the consent ledger.

A host's checkout makes the form, shows it with `{% refund_consent form %}`, and calls `record_checkout_consent` once the order is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.utils.translation import gettext as _

from refund_plugin.content import Wording
from refund_plugin.orders.models import Nature, Purchase, PurchaseLine
from refund_plugin.policies.consent import record_consent
from refund_plugin.policies.consent_models import Consent
from refund_plugin.policies.consent_wording import current_wording


class ConsentForm(forms.Form):
    """Two boxes that nobody ticks but the customer. Source: Directive 2011/83/EU art. 16(m) and 22.

    The wording travels signed with the form, so that what is recorded is what this customer read, also when an editor publishes
    another one meanwhile.

    Args:
        nature: a `Nature` of what is bought.
        must_agree: refuse to go on without both; otherwise an unticked box is recorded as such, and use ends no right.
        wording: other words than those that count now, as for a preview.
    """

    begin = forms.BooleanField(required=False)
    acknowledge = forms.BooleanField(required=False)
    seen = forms.CharField(widget=forms.HiddenInput, max_length=30_000, required=False)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        nature: str = Nature.CONTENT,
        must_agree: bool = False,
        wording: Wording | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data, **{"prefix": "consent", **options})
        self.must_agree = must_agree
        self.nature = nature
        self.wording = self._wording_sent() or wording or current_wording(nature)
        self.fields["begin"].label = self.wording.begin
        self.fields["acknowledge"].label = self.wording.acknowledge
        # what the customer reads next time is what they read now: never the bound value of a form that was not ours
        self.initial["seen"] = self.signed = _signer(nature).sign_object(self.wording._asdict(), compress=True)

    def clean(self) -> dict[str, Any]:
        """Check that the wording is the one that was shown, and that both boxes are ticked where they must be."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self._wording_sent() is None:
            raise ValidationError(_("We have updated this text. Please read it and answer again."), code="wording")
        if self.must_agree:
            for name in ("begin", "acknowledge"):
                if not cleaned.get(name):
                    self.add_error(name, _("Tick this box if you want to have it at once."))
        return cleaned

    def _wording_sent(self) -> Wording | None:
        if not self.is_bound:
            return None
        try:
            return Wording(**_signer(self.nature).unsign_object(self.data.get(self.add_prefix("seen"), "")))
        except (BadSignature, ValueError, TypeError, UnicodeError):
            return None


def record_checkout_consent(
    *,
    form: ConsentForm,
    purchase: Purchase,
    now: datetime,
    line: PurchaseLine | None = None,
    confirm_by_mail: bool = True,
) -> Consent:
    """Record what the customer answered at the checkout; calling it again for the same order and line changes nothing.

    Args:
        form: valid.
        purchase: as `record_purchase` returned it.
        line: what was asked about; every line of the order when omitted.
        confirm_by_mail: let us mail the confirmation, which proves the consent; otherwise tell `confirm_consent` when you have.
        now: UTC; when the customer answered.
    Raises:
        ValueError: the form is not valid.
    """
    if not form.is_valid():
        raise ValueError("Only a valid form tells what a customer agreed to.")
    about: dict[str, Any] = {"line": line} if line is not None else {"order_number": purchase.number}
    return record_consent(
        store=purchase.store,
        wording=form.wording.text,
        locale=form.wording.locale,
        agreed_to_begin=form.cleaned_data["begin"],
        acknowledged=form.cleaned_data["acknowledge"],
        given_at=now,
        source_id=f"{purchase.number}:{line.pk if line else ''}",
        confirm_by_mail=confirm_by_mail,
        now=now,
        **about,
    )


def _signer(nature: str) -> Signer:
    # the words about one nature prove nothing about the other: they say something else of what use ends
    return Signer(salt=f"refund_plugin.consent.{nature}", sep=".")
