"""Template filters of the staff's pages: values written by the case's own formatter."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.localize import Formatter
from refund_plugin.money import Money

register = template.Library()


@register.filter
def written(amount: Money, formatter: Formatter) -> str:
    """Write an amount: `18.20 €`."""
    return formatter.money(amount)


@register.filter
def ago(at: datetime) -> str:
    """Say how long ago it was: `just now`, `3 hours ago`."""
    now = clock.now()
    return _("just now") if now - at < timedelta(minutes=1) else _("%(time)s ago") % {"time": timesince(at, now)}


@register.filter
def when(at: datetime, formatter: Formatter) -> SafeString:
    """Write a day and time to the minute, of the store's zone, machine-readable beside: `9 March 2026, 14:02`."""
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), formatter.datetime(at))


@register.filter
def moment(at: datetime, formatter: Formatter) -> SafeString:
    """Write a day and time of the store's zone, machine-readable beside: `9 March 2026, 14:02:11`."""
    return format_html('<time datetime="{}">{}, {}</time>', at.isoformat(), formatter.date(at), formatter.time(at))


@register.filter
def day(at: datetime, formatter: Formatter) -> SafeString:
    """Write a day of the store's zone, machine-readable beside: `9 March 2026`."""
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), formatter.date(at))
