"""System checks of what `REFUND_PLUGIN["SALEOR"]` says: numbered as in `checks.py`, each with the line that fixes it."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register
from wagtail.models import Site

from refund_plugin.checks import Configs, check_settings, has_tables
from refund_plugin.conf import settings
from refund_plugin.policies.models import Policy
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import CREDIT_OPTIONS, OPTIONS, STORE_CREDIT, allowed_options, is_secure, normalised, site_of, slug_for
from refund_plugin.saleor_app.sites import site_named
from refund_plugin.stores.models import Store


@register("refund_plugin")
def check_saleor(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E025: the extra is missing; E026: an address; E027-E028: options; E030: two that would share a name; E033: or a site."""
    conf = settings()
    if check_settings(None) or not conf.saleor:
        return []
    found: list[CheckMessage] = []
    if missing := [name for name in ("gql", "jwt", "cryptography") if find_spec(name) is None]:
        hint = 'Run: pip install "wagtail-refund-plugin[saleor]".'
        found.append(Error(f"SALEOR is set, and these are not installed: {', '.join(missing)}.", hint=hint, id="refund_plugin.E025"))
    for address, options in conf.saleor.items():
        where = f'REFUND_PLUGIN["SALEOR"]["{address}"]'
        if not normalised(address) or not is_secure(normalised(address)):
            hint = "Write the API address with https, as in https://shop.example/graphql/; plain http is for localhost only."
            found.append(Error(f"{where} is no address that a token may be sent to.", hint=hint, id="refund_plugin.E026"))
        elif isinstance(options, Mapping):
            found += _check_saleor_options(where, options)
        else:
            found.append(Error(f"{where} is not a dict.", hint="Write {} when there is nothing to say.", id="refund_plugin.E027"))
    return found or [*_check_names(), *_check_shared_sites()]


def _check_names() -> list[CheckMessage]:
    conf = settings()
    names = Counter([slug_for(address) for address in conf.saleor] + [*conf.gateways])
    hint = "Give each Saleor the option “store” with a name of its own, other than the keys of GATEWAYS."
    return [
        Error(f'A Saleor in REFUND_PLUGIN["SALEOR"] would share the name "{name}".', hint=hint, id="refund_plugin.E030")
        for name in sorted({slug_for(address) for address in conf.saleor})
        if names[name] > 1
    ]


def _check_shared_sites() -> list[CheckMessage]:
    sites = Counter(site_of(address) for address in settings().saleor)
    hint = "A Wagtail site is one store's: give each Saleor a site of its own, or leave the option out."
    return [
        Error(f'Two Saleors in REFUND_PLUGIN["SALEOR"] have the site "{name}".', hint=hint, id="refund_plugin.E033")
        for name, count in sites.items()
        if name and count > 1
    ]


def _check_saleor_options(where: str, options: Mapping[str, object]) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name in sorted(set(options) - OPTIONS):
        hint = f"Remove it, or use one of: {', '.join(sorted(OPTIONS))}."
        found.append(Error(f'{where} has an unknown option "{name}".', hint=hint, id="refund_plugin.E027"))
    for name in CREDIT_OPTIONS:
        credit = options.get(name)
        if credit and credit not in STORE_CREDIT:
            hint = f"Use one of: {', '.join(sorted(STORE_CREDIT))}; or leave it out."
            found.append(Error(f'{where}["{name}"] is "{credit}", which there is not.', hint=hint, id="refund_plugin.E027"))
    account = options.get("payment_account")
    if account and account not in settings().gateways:
        hint = f"Use a key of GATEWAYS: {', '.join(sorted(settings().gateways)) or 'there is none yet'}."
        found.append(Error(f'{where}["payment_account"] names the unknown account "{account}".', hint=hint, id="refund_plugin.E028"))
    return found


@register("refund_plugin")
def check_encryption_keys(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E029: a key cannot be used."""
    if check_settings(None) or all(_is_key(key) for key in settings().encryption_keys):
        return []
    hint = "Make one with: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
    return [Error('REFUND_PLUGIN["ENCRYPTION_KEYS"] has an entry that is no Fernet key.', hint=hint, id="refund_plugin.E029")]


def _is_key(key: object) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key if isinstance(key, (str, bytes)) else "")) == 32
    except (ValueError, binascii.Error):
        return False


@register("refund_plugin", "database")
def check_sites(app_configs: Configs, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W013: a Saleor names a Wagtail site that is not there."""
    if check_settings(None) or check_saleor(None) or not databases or not has_tables(Site):
        return []
    hint = "Write the host name as Settings → Sites shows it, with the port if two sites share the host; until then the store has no pages."
    return [
        Warning(f'REFUND_PLUGIN["SALEOR"]["{address}"] names the site "{name}", which is not there.', hint=hint, id="refund_plugin.W013")
        for address in settings().saleor
        if (name := site_of(address)) and site_named(name) is None
    ]


@register("refund_plugin", "database")
def check_installations(app_configs: Configs, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W012: a Saleor that has installed the App is not in the settings any more."""
    if check_settings(None) or not databases or not has_tables(SaleorInstallation):
        return []
    addresses = SaleorInstallation.objects.filter(is_active=True).order_by("api_url").values_list("api_url", flat=True)
    hint = "Put its address back, or remove the App in that Saleor: until then nothing that it says or asks for is heard."
    return [
        Warning(f'The App is installed in {address}, which REFUND_PLUGIN["SALEOR"] does not name.', hint=hint, id="refund_plugin.W012")
        for address in addresses
        if allowed_options(address) is None
    ]


@register("refund_plugin", "database")
def check_pages(app_configs: Configs, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W014: no page of the site is about a Saleor's store, so none can be its policy."""
    if check_settings(None) or not databases or not has_tables(SaleorInstallation, Store, Policy):
        return []
    slugs = SaleorInstallation.objects.filter(is_active=True).exclude(slug=settings().store).values("slug")
    hint = 'Set REFUND_PLUGIN["STORE"] to its slug if it is your only shop; else give its Saleor the option "site". See docs/saleor.md.'
    return [
        Warning(f'The store "{slug}" of a Saleor has no policy, and no Wagtail site to publish one on.', hint=hint, id="refund_plugin.W014")
        for slug in Store.objects.filter(slug__in=slugs, wagtail_site_id=None, policies=None)
        .order_by("slug")
        .values_list("slug", flat=True)
    ]
