"""What staff fill in about automatic refunds: the dial, limits and ceilings in major units, how long to pause and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from wagtail.admin.widgets import AdminAutoHeightTextInput

from refund_plugin.localize import Formatter
from refund_plugin.money import Money
from refund_plugin.refunds.brake.defaults import default_ceiling
from refund_plugin.refunds.brake.models import AutomaticMode, AutomaticMoney
from refund_plugin.refunds.brake.windows import Ceiling, Per
from refund_plugin.refunds.checks import MAX_MESSAGE

MODE_CHOICES = [
    (
        AutomaticMode.OBSERVE,
        _("Observe: a person decides each request and does not see what the policy would have done. Good for a start."),
    ),
    (AutomaticMode.SUGGEST, _("Suggest: a person decides each request and sees what the policy would do, ready to approve.")),
    (AutomaticMode.AUTOMATIC, _("Automatic: what the policy approves is sent at once, within the limits below.")),
]
PAUSE_CHOICES = [
    (1, _("1 hour")),
    (4, _("4 hours")),
    (24, _("1 day")),
    (72, _("3 days")),
    (168, _("1 week")),
]
MOST_PRODUCTS = 200
_LARGEST = Decimal(10) ** 12


class AutomaticForm(forms.Form):
    """The dial; for each currency what one request, an hour and a day may take; `products` are forms of their own."""

    mode = forms.ChoiceField(label=_("What the policy may do by itself"), choices=MODE_CHOICES, widget=forms.RadioSelect)

    def __init__(self, data: Any = None, *, brake: AutomaticMoney, currencies: Sequence[str], formatter: Formatter) -> None:
        super().__init__(data, initial={"mode": brake.mode}, auto_id="automatic_%s")
        self.currencies = currencies
        own = {(ceiling.currency, ceiling.per): ceiling.amount_minor for ceiling in _own(brake) if not ceiling.sku}
        for currency in currencies:
            self.fields[f"limit_{currency}"] = amount_field(
                gettext("One request, in %(currency)s") % {"currency": currency},
                currency,
                brake.limit_minor.get(currency),
                help_text=gettext("Empty: no limit."),
            )
            for per in Per:
                default = default_ceiling(currency, per)
                without = gettext("none") if default is None else formatter.money(Money(default, currency))
                self.fields[f"{per}_{currency}"] = amount_field(
                    (gettext("Any hour, in %(currency)s") if per == Per.HOUR else gettext("Any day, in %(currency)s"))
                    % {"currency": currency},
                    currency,
                    own.get((currency, per)),
                    help_text=gettext("Empty: %(amount)s.") % {"amount": without},
                )
        rows = [*_products(brake), {}]
        count = len(rows) if self.data.get("products") is None else _number(self.data["products"])
        self.products = [
            ProductForm(
                self.data if self.is_bound else None,
                prefix=f"product{number}",
                initial=rows[number] if number < len(rows) else {},
                currencies=currencies,
            )
            for number in range(count)
        ]

    def is_valid(self) -> bool:
        """Also validate the products."""
        products = [form.is_valid() for form in self.products]
        return super().is_valid() and all(products)

    def limits(self) -> dict[str, int]:
        """Return the limits of one request in minor units by currency. Only after `is_valid()`."""
        entered = {currency: self.cleaned_data[f"limit_{currency}"] for currency in self.currencies}
        return {currency: minor_of(amount, currency) for currency, amount in entered.items() if amount is not None}

    def ceilings(self) -> list[Ceiling]:
        """Return the ceilings that were entered. Only after `is_valid()`."""
        entered = [
            Ceiling(currency, per, minor_of(amount, currency))
            for currency in self.currencies
            for per in Per
            if (amount := self.cleaned_data[f"{per}_{currency}"]) is not None
        ]
        return [*entered, *(ceiling for form in self.products for ceiling in form.ceilings())]

    def rows(self) -> Iterator[tuple[str, forms.BoundField, dict[Per, forms.BoundField]]]:
        """Each currency with its fields: for one request, and for the windows."""
        for currency in self.currencies:
            yield currency, self[f"limit_{currency}"], {per: self[f"{per}_{currency}"] for per in Per}


class ProductForm(forms.Form):
    """The ceilings of one product; without a SKU the row means nothing."""

    sku = forms.CharField(label=_("SKU"), required=False, max_length=120)
    hour = forms.DecimalField(label=_("Any hour"), required=False, min_value=Decimal(0), max_value=_LARGEST)
    day = forms.DecimalField(label=_("Any day"), required=False, min_value=Decimal(0), max_value=_LARGEST)

    def __init__(self, *args: Any, currencies: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["currency"] = forms.ChoiceField(label=_("Currency"), choices=[(code, code) for code in currencies], required=False)

    def clean(self) -> dict[str, Any]:
        """Check that the amounts have no more decimals than the currency, and that a product has at least one."""
        cleaned = super().clean() or {}
        currency = cleaned.get("currency")
        for per in Per:
            amount = cleaned.get(per)
            if amount is not None and currency and -amount.normalize().as_tuple().exponent > Money.zero(currency).exponent:
                self.add_error(per, gettext("%(currency)s has fewer decimals.") % {"currency": currency})
        amounts = [cleaned.get(per) for per in Per]
        if cleaned.get("sku") and not self.errors and amounts == [None, None]:
            self.add_error("hour", gettext("Enter an amount, or empty the SKU to remove the row."))
        if not cleaned.get("sku") and amounts != [None, None] and not self.errors:
            self.add_error("sku", gettext("Which product is meant? Write its SKU."))
        return cleaned

    def ceilings(self) -> list[Ceiling]:
        """Return the ceilings of the product."""
        sku, currency = self.cleaned_data.get("sku"), self.cleaned_data.get("currency", "")
        entered = [(per, self.cleaned_data.get(per)) for per in Per]
        return [Ceiling(currency, per, minor_of(amount, currency), sku) for per, amount in entered if sku and amount is not None]


class PauseForm(forms.Form):
    """How long, and why."""

    hours = forms.TypedChoiceField(label=_("For how long"), choices=PAUSE_CHOICES, coerce=int, initial=4, widget=forms.RadioSelect)
    why = forms.CharField(
        label=_("Why"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("All staff see it, with your name."),
    )

    def until(self, now: datetime) -> datetime:
        """Return when the pause ends. Only after `is_valid()`."""
        return now + timedelta(hours=self.cleaned_data["hours"])


class ResumeForm(forms.Form):
    """Why it goes on."""

    why = forms.CharField(
        label=_("What has changed"),
        required=False,
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("Kept in the history. You may leave it empty."),
    )


class ReleaseForm(forms.Form):
    """The requests that were shown, and why they are approved."""

    requests = forms.TypedMultipleChoiceField(coerce=UUID, widget=forms.MultipleHiddenInput)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("Recorded with each decision, for your colleagues."),
    )

    def __init__(self, *args: Any, shown: Sequence[UUID], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["requests"].choices = [(str(pk), str(pk)) for pk in shown]  # type: ignore[attr-defined]
        self.fields["requests"].initial = [str(pk) for pk in shown]


def amount_field(label: str, currency: str, minor: int | None, *, help_text: str) -> forms.DecimalField:
    """Return an optional field for an amount in major units of a currency."""
    zero = Money.zero(currency)
    return forms.DecimalField(
        label=label,
        required=False,
        min_value=Decimal(0),
        max_value=_LARGEST,
        decimal_places=zero.exponent,
        initial=None if minor is None else Money(minor, currency).decimal,
        widget=forms.NumberInput(attrs={"step": str(Money(1, currency).decimal), "inputmode": "decimal"}),
        help_text=help_text,
    )


def _number(sent: str) -> int:
    """Return how many rows a form was sent with."""
    return min(int(sent), MOST_PRODUCTS) if sent.isdecimal() else 0


def minor_of(amount: Decimal, currency: str) -> int:
    """Return an amount in minor units."""
    return Money.from_decimal(amount, currency).minor


def _own(brake: AutomaticMoney) -> list[Ceiling]:
    return [Ceiling.from_json(stored) for stored in brake.ceilings]


def _products(brake: AutomaticMoney) -> list[dict[str, Any]]:
    """Return one row per product and currency, for the forms."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for ceiling in _own(brake):
        if ceiling.sku:
            row = rows.setdefault((ceiling.sku, ceiling.currency), {"sku": ceiling.sku, "currency": ceiling.currency})
            row[ceiling.per.value] = Money(ceiling.amount_minor, ceiling.currency).decimal
    return [rows[key] for key in sorted(rows)]
