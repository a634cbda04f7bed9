"""Tags for a host's own templates about rights that the law gives.

    {% load refund_law %}
    {% refund_withdrawal_link %}

The link to the withdrawal function belongs on every page of the shop, as in its footer; it is an ordinary `a` with the class
`refund-withdraw`, without styles.
"""

from __future__ import annotations

from django import template
from django.urls import reverse

register = template.Library()


@register.inclusion_tag("refund_plugin/tags/withdrawal_link.html")
def refund_withdrawal_link(order: str = "") -> dict[str, str]:
    """Render the link “Withdraw from contract here”; with `order`, its number is filled in.

    Source: Directive 2011/83/EU art. 11a(1): prominent, easily accessible, and there all the time.
    """
    return {"url": reverse("refund_plugin:withdraw_start"), "order": order}
