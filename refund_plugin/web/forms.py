"""The forms of the customer pages; each error says what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from refund_plugin.errors import InvalidInput
from refund_plugin.refunds.checks import MAX_MESSAGE

EMAIL_HELP = gettext_lazy("The one that our receipt went to.")
EMAIL_ERRORS = {
    "required": gettext_lazy("Enter your e-mail address."),
    "invalid": gettext_lazy("Enter an e-mail address like name@example.com."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right: what to say, and the id of the field it belongs to."""

    text: str
    target: str


class CustomerForm(forms.Form):
    """A form whose server says what is wrong, in a summary that links to the fields."""

    use_required_attribute = False

    def problems(self) -> list[Problem]:
        """Return every error with the field to go to; an error of the whole form goes to its first field."""
        first = next(iter(self.fields))
        return [
            Problem(text=str(error), target=self[name if name in self.fields else first].id_for_label)
            for name, errors in self.errors.items()
            for error in errors
        ]


class LookupForm(CustomerForm):
    """Which purchase?"""

    number = forms.CharField(
        label=gettext_lazy("Order number"),
        help_text=gettext_lazy("It is on your receipt, for example 1042."),
        max_length=64,
        error_messages={"required": gettext_lazy("Enter your order number, for example 1042.")},
        widget=forms.TextInput(attrs={"class": "is-short", "autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    email = forms.EmailField(
        label=gettext_lazy("E-mail address you bought with"),
        help_text=EMAIL_HELP,
        max_length=254,
        error_messages=EMAIL_ERRORS,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "spellcheck": "false"}),
    )


class MailForm(CustomerForm):
    """Where to send the list of purchases."""

    email = forms.EmailField(
        label=gettext_lazy("E-mail address you bought with"),
        help_text=EMAIL_HELP,
        max_length=254,
        error_messages=EMAIL_ERRORS,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "spellcheck": "false"}),
    )


class AnswerForm(CustomerForm):
    """The answer to a question of ours."""

    message = forms.CharField(
        label=gettext_lazy("Your answer"),
        max_length=MAX_MESSAGE,
        error_messages={"required": gettext_lazy("Write your answer.")},
        widget=forms.Textarea(attrs={"rows": 6}),
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """What a customer chose on the page of a purchase.

    Attributes:
        ticked: line ids to refund.
        persons: line ids that the policy declines and a person should look at.
        quantities: units by line id, for the lines whose quantity can be chosen.
        promise: what `refunds.promise.make_promise` wrote into the page that was shown.
    """

    ticked: frozenset[int]
    persons: frozenset[int]
    quantities: dict[int, int]
    reason: str
    message: str
    submission_key: str
    promise: str = ""

    @classmethod
    def first(cls, ticked: Iterable[int]) -> Choice:
        """Return what is chosen when the page opens."""
        return cls(frozenset(ticked), frozenset(), {}, reason="", message="", submission_key=uuid4().hex)

    @classmethod
    def sent(cls, data: QueryDict) -> Choice:
        """Read what was sent.

        Raises:
            InvalidInput: a line or a quantity that is no number; `field` is `lines`.
        """
        try:
            return cls(
                ticked=frozenset(map(_number, data.getlist("line"))),
                persons=frozenset(map(_number, data.getlist("person"))),
                quantities={_number(name[9:]): _number(data.get(name, "")) for name in data if name.startswith("quantity-")},
                reason=data.get("reason", ""),
                message=_storable(data.get("message", "")),
                submission_key=_storable(data.get("submission_key", "")) or uuid4().hex,
                promise=data.get("promise", ""),
            )
        except ValueError:
            raise InvalidInput(_("Choose the quantity from the list."), field="lines") from None


def _storable(text: str) -> str:
    """Leave out the one character that PostgreSQL does not keep in a text."""
    return text.replace("\x00", "")


def _number(text: str) -> int:
    if len(text) > 18:  # beyond what a database key or a quantity can be
        raise ValueError(text)
    return int(text)
