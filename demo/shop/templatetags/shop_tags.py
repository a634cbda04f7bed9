"""How the shop writes prices."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import format_currency
from django import template
from django.utils.translation import get_language, to_locale

register = template.Library()


@register.simple_tag
def price(amount: Decimal, currency: str) -> str:
    """Return an amount as the reader's language writes it."""
    return str(format_currency(amount, currency, locale=to_locale(get_language() or "en")))
