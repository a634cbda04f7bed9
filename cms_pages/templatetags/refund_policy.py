"""Tags for a host's own templates: the policy in short, for a footer, a product and the buy button, and for search engines.

    {% load refund_policy %}
    {% refund_policy_link %}
    {% refund_policy_summary %}
    {% refund_badge product_type=page.product_type sku=page.sku tags=page.tags %}
    {% refund_checkout_summary product_type=page.product_type sku=page.sku tags=page.tags %}
    {% refund_structured_data product_type=page.product_type sku=page.sku tags=page.tags %}

All say what is in force at this moment; publishing changes them at once. They come without styles, and write nothing while no
policy is in force. Those about a product take its `product_type`, `sku`, `categories`, `tags`, `nature`, `country`, `channel`,
`price_minor` and `currency`, each optional. However many of them a page has, together they look the policy up once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.utils.safestring import SafeString, mark_safe

from cms_pages.shown import shown_on
from refund_plugin.policies.products import Product, about_product, beside_the_law
from refund_plugin.policies.structured import as_json_ld, merchant_return_policy

register = template.Library()


@register.inclusion_tag("cms_pages/tags/policy_link.html", takes_context=True)
def refund_policy_link(context: template.Context) -> dict[str, Any]:
    """Render a link to the policy of the site's shop; nothing while no page shows it."""
    shown = shown_on(context.get("request"))
    return {"url": shown.url if shown else ""}


@register.inclusion_tag("cms_pages/tags/policy_summary.html", takes_context=True)
def refund_policy_summary(context: template.Context) -> dict[str, Any]:
    """Render the policy of the site's shop, one line per clause; nothing while no policy is in force."""
    shown = shown_on(context.get("request"))
    return {"clauses": shown.clauses, "url": shown.url} if shown else {"clauses": []}


@register.inclusion_tag("cms_pages/tags/badge.html", takes_context=True)
def refund_badge(context: template.Context, *, link: bool = True, **values: Any) -> dict[str, Any]:
    """Render in a few words what a product carries: “30-day guarantee”, “Not refundable: …”; nothing where there is nothing to say.

    Args:
        link: to the clause; False where the badge stands inside a link already.
        values: what is known of the product, as `refund_checkout_summary` takes it.
    """
    shown = shown_on(context.get("request"))
    if shown is None:
        return {"badge": ""}
    product = product_of(**values)
    told = about_product(shown.policy, product, shown.language)
    return {
        "badge": told.badge,
        "tag": told.tag,
        "note": beside_the_law(told, product, shown.language),
        "url": shown.url if link else "",
        "anchor": told.telling.anchor if told.telling else "",
    }


@register.inclusion_tag("cms_pages/tags/checkout_summary.html", takes_context=True)
def refund_checkout_summary(context: template.Context, **values: Any) -> dict[str, Any]:
    """Render what the policy says about a product before it is bought; why it is not refundable, if so.

    Args:
        values: `price_minor` is per unit in minor units of `currency`; without it clauses about prices are shown too.
    """
    shown = shown_on(context.get("request"))
    if shown is None:
        return {"clauses": []}
    told = about_product(shown.policy, product_of(**values), shown.language)
    language, refused = shown.language, told.refused
    return {
        # the reader looks at one product: what else a clause is about would only distract
        "clauses": [
            {"anchor": clause.anchor, "title": clause.heading(language), "summary": clause.summary(language)} for clause in told.clauses
        ],
        "refused": {"title": refused.heading(language), "reason": refused.summary(language), "anchor": refused.anchor} if refused else None,
        "url": shown.url,
    }


@register.simple_tag(takes_context=True)
def refund_structured_data(context: template.Context, page_key: str = "", **values: Any) -> SafeString:
    """Write schema.org's `MerchantReturnPolicy` as JSON-LD, for the product that `values` name or in general.

    A data block is no script: browsers never run it, so that it needs no exception from a Content-Security-Policy.

    Args:
        page_key: write only while the shop's policy is that of this page, as on the page itself.
    """
    request = context.get("request")
    shown = shown_on(request)
    if shown is None or (page_key and page_key != shown.policy.page_key):
        return SafeString("")
    product = product_of(**values)
    url = request.build_absolute_uri(shown.url) if request is not None and shown.url else shown.url
    node = merchant_return_policy(about_product(shown.policy, product, shown.language), product, shown.language, url=url)
    # safe: nothing in it can end the element, see `as_json_ld`
    return mark_safe(f'<script type="application/ld+json">{as_json_ld(node)}</script>')


def product_of(
    *,
    product_type: str = "",
    sku: str = "",
    categories: str | Iterable[str] = (),
    tags: str | Iterable[str] = (),
    nature: str = "",
    country: str = "",
    channel: str = "",
    price_minor: int | None = None,
    currency: str = "EUR",
) -> Product:
    """Return the product that a template names; several categories or tags are a list, or a text with commas."""
    return Product(
        product_type=product_type,
        sku=sku,
        categories=_words(categories),
        tags=_words(tags),
        nature=nature,
        country=country,
        channel=channel,
        price_minor=price_minor,
        currency=currency,
    )


def _words(values: str | Iterable[str]) -> frozenset[str]:
    found = values.split(",") if isinstance(values, str) else [str(value) for value in values or ()]
    return frozenset(word.strip() for word in found) - {""}
