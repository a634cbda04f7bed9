"""The policy for search engines: schema.org's `MerchantReturnPolicy`, only as far as its words are true of the clauses.

Source: https://schema.org/MerchantReturnPolicy. What it has no word for is left out rather than approximated: `returnMethod` knows
stores, kiosks, the post and keeping the product, and what we sell is sent back by none of them nor kept after a refund; a part
of the price is no `refundType`; a clause that a person decides by promises nothing, so its category stays unspecified.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from refund_plugin.localize import Formatter
from refund_plugin.money import EXPONENTS, Money
from refund_plugin.policies.products import Product, ProductPolicy
from refund_plugin.rules import (
    Clause,
    Defective,
    MoneyBack,
    NonRefundable,
    Outcome,
    ProRated,
    StatutoryWithdrawal,
    UnusedOnly,
    describe_clause,
)

SCHEMA = "https://schema.org/"
# `<` and `&` have no other meaning inside JSON's strings, and none at all outside of them
_ESCAPES = {ord(sign): f"\\u{ord(sign):04X}" for sign in "<>&\u2028\u2029"}


def merchant_return_policy(policy: ProductPolicy, product: Product, language: Formatter, *, url: str) -> dict[str, Any]:
    """Return what the policy says about a product, or about products in general when `product` names none.

    Args:
        url: absolute, of the page that shows the policy; also the beginning of the node's `@id`, by which a shop's own offers
            refer to it: the fragment is `return-policy`, with `-` and the SKU when there is one.
    """
    node: dict[str, Any] = {"@context": SCHEMA.rstrip("/"), "@type": "MerchantReturnPolicy"}
    if url:
        node["@id"] = f"{url}#return-policy{f'-{quote(product.sku)}' if product.sku else ''}"
        node["merchantReturnLink"] = url
    clause = policy.telling
    if clause is None:
        return {**node, "returnPolicyCategory": f"{SCHEMA}MerchantReturnUnspecified"}
    countries = [product.country] if product.country else sorted(clause.selector.countries)
    if countries:
        node["applicableCountry"] = countries
    node |= {"name": policy.badge, "description": describe_clause(clause, language, product.currency).summary}
    node |= _terms(clause)
    if any(isinstance(each, Defective) for each in policy.clauses):
        node["itemDefectReturnFees"] = f"{SCHEMA}FreeReturn"
    return node


def as_json_ld(node: dict[str, Any]) -> str:
    """Write a node so that no text in it can end the script element it stands in."""
    return json.dumps(node, ensure_ascii=False, sort_keys=True).translate(_ESCAPES)


def _terms(clause: Clause) -> dict[str, Any]:
    unspecified = {"returnPolicyCategory": f"{SCHEMA}MerchantReturnUnspecified"}
    if isinstance(clause, NonRefundable) and not clause.all_conditions():
        return {"returnPolicyCategory": f"{SCHEMA}MerchantReturnNotPermitted"}
    window = getattr(clause, "window_days", None)
    known = isinstance(clause, MoneyBack | UnusedOnly | ProRated | StatutoryWithdrawal)
    if not known or clause.requires or clause.decides() is not Outcome.APPROVE or not isinstance(window, int):
        return unspecified
    terms: dict[str, Any] = {"returnPolicyCategory": f"{SCHEMA}MerchantReturnFiniteReturnWindow", "merchantReturnDays": window}
    if isinstance(clause, MoneyBack | UnusedOnly) and clause.percent == 100:
        terms["refundType"] = f"{SCHEMA}FullRefund"
    if isinstance(clause, UnusedOnly):
        terms["itemCondition"] = f"{SCHEMA}NewCondition"
    return terms | _fees(clause)


def _fees(clause: Clause) -> dict[str, Any]:
    if not isinstance(clause, ProRated) or not (clause.fee_minor or clause.fee_percent):
        return {"returnFees": f"{SCHEMA}FreeReturn"}
    fees: dict[str, Any] = {"returnFees": f"{SCHEMA}RestockingFees"}
    # a share of what comes back is no share of the price, which is what a number here would say
    if clause.fee_minor and not clause.fee_percent and clause.currency in EXPONENTS:
        value = str(Money(clause.fee_minor, clause.currency).decimal)
        fees["restockingFee"] = {"@type": "MonetaryAmount", "currency": clause.currency, "value": value}
    return fees
