"""Tags for a host's own templates: the policy in short, for a footer and beside the buy button.

    {% load refund_policy %}
    {% refund_policy_summary %}
    {% refund_checkout_summary product_type=page.product_type sku=page.sku tags=page.tags %}

Both say what is in force at this moment; publishing changes them at once. They come without styles: a list in a `div` with
the class `refund-summary` or `refund-checkout`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.utils.translation import get_language
from wagtail.models import Site

from cms_pages.checkout import Product, clauses_about, refusal
from cms_pages.presentation import clause_views
from refund_plugin import clock
from refund_plugin.content import policy_pages
from refund_plugin.localize import formatter_for
from refund_plugin.policies.queries import load_version, load_version_in, texts_of, version_in_force
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import store_for_site

register = template.Library()


def _store(context: template.Context) -> Store:
    request = context.get("request")
    site = Site.find_for_request(request) if request is not None else None
    return store_for_site(wagtail_site_id=site.pk if site else None)


@register.inclusion_tag("cms_pages/tags/policy_summary.html", takes_context=True)
def refund_policy_summary(context: template.Context) -> dict[str, Any]:
    """Render the policy of the site's shop, one line per clause; nothing while no policy is in force."""
    store = _store(context)
    version = version_in_force(store_id=store.pk, at=clock.now())
    if version is None:
        return {"clauses": []}
    texts = texts_of(version=version, locale=get_language() or "")
    views = clause_views(load_version(version), formatter_for(timezone=store.timezone), texts)
    return {"clauses": views, "url": policy_pages().policy_url(version)}


@register.inclusion_tag("cms_pages/tags/checkout_summary.html", takes_context=True)
def refund_checkout_summary(
    context: template.Context,
    product_type: str = "",
    sku: str = "",
    categories: Iterable[str] = (),
    tags: Iterable[str] = (),
    nature: str = "",
    country: str = "",
    channel: str = "",
    price_minor: int | None = None,
    currency: str = "EUR",
) -> dict[str, Any]:
    """Render what the policy says about a product before it is bought; why it is not refundable, if so.

    Args:
        price_minor: per unit in minor units of `currency`; without it clauses about prices are shown too.
    """
    store = _store(context)
    now = clock.now()
    version = version_in_force(store_id=store.pk, at=now)
    if version is None:
        return {"clauses": []}
    product = Product(
        product_type=product_type,
        sku=sku,
        categories=categories,
        tags=tags,
        nature=nature,
        country=country,
        channel=channel,
        price_minor=price_minor,
        currency=currency,
    )
    about = clauses_about(load_version_in(version, get_language() or ""), product, now=now)
    language = formatter_for(timezone=store.timezone)
    refused = refusal(about)
    return {
        # the reader looks at one product: what else a clause is about would only distract
        "clauses": [{"anchor": clause.anchor, "title": clause.heading(language), "summary": clause.summary(language)} for clause in about],
        "refused": {"title": refused.heading(language), "reason": refused.summary(language), "anchor": refused.anchor} if refused else None,
        "url": policy_pages().policy_url(version),
    }
