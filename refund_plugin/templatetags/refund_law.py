"""Tags for a host's own templates about rights that the law gives.

    {% load refund_law %}
    {% refund_withdrawal_link %}
    {% refund_consent consent_form %}

The link to the withdrawal function belongs on every page of the shop, as in its footer; it is an ordinary `a` with the class
`refund-withdraw`, without styles.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse

from refund_plugin.web.consent import ConsentForm

register = template.Library()


@register.inclusion_tag("refund_plugin/tags/withdrawal_link.html")
def refund_withdrawal_link(order: str = "") -> dict[str, str]:
    """Render the link “Withdraw from contract here”; with `order`, its number is filled in.

    Source: Directive 2011/83/EU art. 11a(1): prominent, easily accessible, and there all the time.
    """
    return {"url": reverse("refund_plugin:withdraw_start"), "order": order}


@register.inclusion_tag("refund_plugin/tags/consent.html")
def refund_consent(form: ConsentForm) -> dict[str, Any]:
    """Render the checkout block inside a host's own `<form>`: a `fieldset` with the class `refund-consent`, without styles or script."""
    return {"form": form, "boxes": [form["begin"], form["acknowledge"]]}
