"""System checks: each is numbered and names the line that fixes it. `E` stops the site, `W` warns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connection
from django.db.models import Model
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string
from wagtail.models import Site

from refund_plugin.conf import KEYS, Limit, Settings, settings
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.registry import build_gateway, gateway_kinds
from refund_plugin.money import EXPONENTS
from refund_plugin.refunds.brake.defaults import problems
from refund_plugin.refunds.incentives import limits as incentives
from refund_plugin.refunds.tracking import absolute_url
from refund_plugin.rules import floor_presets
from refund_plugin.saleor.options import normalised
from refund_plugin.stores.models import Store

Configs = Sequence[AppConfig] | None
LIVE_KEYS = ("sk_live_", "rk_live_")
OPTIONS = "Compare with the gateway's options in docs/settings.md."
# Stripe keeps keys for at least 24 hours; a key that was shown to be known is sent again for two hours more
MOST_REPLAY_HOURS = 21
HANDLERS = {
    "ACCESS_HANDLER": "one argument",
    "DOWNLOAD_HANDLER": "two arguments",
    "DOCUMENT_SKU": "one argument",
    "FIX_HANDLER": "one argument",
}
CALL_SECONDS = {"connect_timeout_seconds": 3, "read_timeout_seconds": 10}


@register("refund_plugin")
def check_settings(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E001-E004: unknown keys, wrong types, unknown time zone."""
    raw = getattr(django_settings, "REFUND_PLUGIN", {})
    if not isinstance(raw, Mapping):
        return [Error("REFUND_PLUGIN is not a dict.", hint='Write REFUND_PLUGIN = {"STORE_NAME": "…"}.', id="refund_plugin.E001")]
    found: list[CheckMessage] = []
    for key in sorted(set(raw) - set(KEYS)):
        hint = f"Remove it, or use one of: {', '.join(sorted(KEYS))}."
        found.append(Error(f'REFUND_PLUGIN has an unknown key "{key}".', hint=hint, id="refund_plugin.E002"))
    defaults = Settings()
    for key in sorted(set(raw) & set(KEYS)):
        default = getattr(defaults, KEYS[key].name)
        if not _fits(raw[key], default):
            wanted = "a pair (count, seconds)" if isinstance(default, Limit) else f"a {type(default).__name__}"
            found.append(Error(f'REFUND_PLUGIN["{key}"] is not {wanted}.', hint=f"The default is {default!r}.", id="refund_plugin.E003"))
    for slug, options in (raw.get("GATEWAYS") or {}).items() if not found else ():
        if not isinstance(options, Mapping):
            hint = 'Write {"kind": "stripe", "api_key": …, "webhook_secret": …}.'
            found.append(Error(f'REFUND_PLUGIN["GATEWAYS"]["{slug}"] is not a dict.', hint=hint, id="refund_plugin.E003"))
    if found:
        return found
    try:
        ZoneInfo(settings().zone)
    except (ZoneInfoNotFoundError, ValueError):
        hint = 'Use an IANA name such as "Europe/Berlin".'
        found.append(Error(f'REFUND_PLUGIN["TIMEZONE"] "{settings().zone}" is unknown.', hint=hint, id="refund_plugin.E004"))
    return found


def _fits(value: object, default: object) -> bool:
    if isinstance(default, Limit):
        pair = isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(number, int) for number in value)
        return isinstance(value, Limit) or pair
    if isinstance(default, Mapping):
        return isinstance(value, Mapping)
    if isinstance(default, tuple):
        return isinstance(value, (list, tuple))
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(default)


@register("refund_plugin")
def check_gateways(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """W001: no gateway; E005-E006: unknown kind or options; W006: webhooks are refused."""
    if check_settings(None):
        return []
    gateways = settings().gateways
    if not gateways:
        hint = 'Add REFUND_PLUGIN["GATEWAYS"] = {"default": {"kind": "stripe", "api_key": …, "webhook_secret": …}}.'
        return [Warning("No payment gateway is configured: refunds cannot be sent.", hint=hint, id="refund_plugin.W001")]
    found: list[CheckMessage] = []
    for slug, options in gateways.items():
        kind = str(options.get("kind", ""))
        where = f'REFUND_PLUGIN["GATEWAYS"]["{slug}"]'
        if kind not in gateway_kinds():
            hint = f'Set "kind" to one of: {", ".join(sorted(gateway_kinds()))}.'
            found.append(Error(f'{where} has an unknown kind "{kind}".', hint=hint, id="refund_plugin.E005"))
            continue
        try:
            build_gateway(kind, options)
        except GatewayMisconfigured as error:
            forgotten = not options.get("livemode") and str(options.get("api_key", "")).startswith(LIVE_KEYS)
            hint = f'With a live key set {where}["livemode"] = True.' if forgotten else OPTIONS
            found.append(Error(f"{where}: {error}", hint=hint, id="refund_plugin.E006"))
        if kind == "stripe" and not options.get("webhook_secret"):
            hint = f'Set {where}["webhook_secret"] to the signing secret (whsec_…) of the endpoint in the Stripe dashboard.'
            found.append(Warning(f"{where} has no webhook_secret: every webhook is refused.", hint=hint, id="refund_plugin.W006"))
    return found


@register("refund_plugin")
def check_times(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E022: keys would be sent again when the gateway may have forgotten them; W010: leases end before the calls do."""
    if check_settings(None):
        return []
    conf = settings()
    found: list[CheckMessage] = []
    if not 1 <= conf.key_replay_hours <= MOST_REPLAY_HOURS:
        hint = f"Use 1 to {MOST_REPLAY_HOURS}, or leave it out: a gateway that has forgotten a key pays a second time."
        found.append(Error('REFUND_PLUGIN["KEY_REPLAY_HOURS"] is not safe.', hint=hint, id="refund_plugin.E022"))
    for slug, options in conf.gateways.items():
        call = sum(float(str(options.get(name, usual))) for name, usual in CALL_SECONDS.items()) if options.get("kind") == "stripe" else 0
        if conf.lease_seconds <= call:
            hint = f"A call over the account {slug} may take {call:g} s. Raise LEASE_SECONDS, or shorten the account's timeouts."
            found.append(Warning('REFUND_PLUGIN["LEASE_SECONDS"] is shorter than a call.', hint=hint, id="refund_plugin.W010"))
    return found


@register("refund_plugin")
def check_staff_limits(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E023: what `STAFF_LIMITS` says cannot be read."""
    if check_settings(None):
        return []
    hint = 'Write for example {"Refund staff": {"EUR": 10000}}, in minor units.'
    return [
        Error(f'REFUND_PLUGIN["STAFF_LIMITS"]["{name}"] is no dict of whole amounts by currency.', hint=hint, id="refund_plugin.E023")
        for name, amounts in settings().staff_limits.items()
        if not isinstance(amounts, Mapping) or not all(_is_limit(currency, amount) for currency, amount in amounts.items())
    ]


def _is_limit(currency: object, amount: object) -> bool:
    return currency in EXPONENTS and type(amount) is int and amount >= 0


@register("refund_plugin")
def check_public_url(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E024: links in mail could not be followed."""
    if check_settings(None) or not settings().public_url or settings().public_url.startswith(("https://", "http://")):
        return []
    hint = 'Write the scheme too: "https://shop.example".'
    return [Error(f'REFUND_PLUGIN["PUBLIC_URL"] "{settings().public_url}" is no address.', hint=hint, id="refund_plugin.E024")]


@register("refund_plugin")
def check_storefront_origins(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E032: an entry of `STOREFRONT_ORIGINS` is not as browsers write an origin, so it would allow nobody."""
    if check_settings(None):
        return []
    hint = "Write scheme and host, with the port where it is not the usual one, and nothing behind it: https://shop.example"
    return [
        Error(f'REFUND_PLUGIN["STOREFRONT_ORIGINS"] has "{origin}", which is no origin.', hint=hint, id="refund_plugin.E032")
        for origin in settings().storefront_origins
        if normalised(str(origin)) != f"{origin}/" or str(origin).count("/") != 2
    ]


@register("refund_plugin")
def check_order_books(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E021: `ORDER_BOOKS` names an account that is not there."""
    if check_settings(None):
        return []
    known = settings().gateways
    hint = f"Use a key of GATEWAYS: {', '.join(sorted(known)) or 'there is none yet'}."
    return [
        Error(f'REFUND_PLUGIN["ORDER_BOOKS"] names the unknown account "{slug}".', hint=hint, id="refund_plugin.E021")
        for slug in sorted(set(settings().order_books) - set(known))
    ]


@register("refund_plugin")
def check_brake(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E020: what `BRAKE` says cannot be read."""
    if check_settings(None):
        return []
    hint = 'Write for example {"mode": "automatic", "hour": {"EUR": 200000, "*": None}}, in minor units; see docs/settings.md.'
    return [Error(f'REFUND_PLUGIN["BRAKE"]: {problem}.', hint=hint, id="refund_plugin.E020") for problem in problems(settings().brake)]


@register("refund_plugin")
def check_incentives(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E031: what `INCENTIVES` says cannot be read."""
    if check_settings(None):
        return []
    hint = 'Write for example {"amount": {"EUR": 2000}, "percent": 20, "per_customer": 1}, in minor units; see docs/settings.md.'
    return [
        Error(f'REFUND_PLUGIN["INCENTIVES"]: {problem}.', hint=hint, id="refund_plugin.E031")
        for problem in incentives.problems(settings().incentives)
    ]


@register("refund_plugin")
def check_urls_and_template(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E007: the URLs are not included; E008: the host's base template does not exist."""
    found: list[CheckMessage] = []
    try:
        reverse("refund_plugin:ask")
    except NoReverseMatch:
        hint = 'Add path("refunds/", include("refund_plugin.urls")) to your urlpatterns, before Wagtail\'s own.'
        found.append(Error("The refund pages are not in your URLs.", hint=hint, id="refund_plugin.E007"))
    name = settings().base_template
    try:
        get_template(name)
    except TemplateDoesNotExist:
        hint = 'Set REFUND_PLUGIN["BASE_TEMPLATE"] to the template that your own pages extend; it needs a block "content".'
        found.append(Error(f'The base template "{name}" does not exist.', hint=hint, id="refund_plugin.E008"))
    return found


@register("refund_plugin")
def check_functions(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E009: a function of the host's that we are to call does not exist."""
    found: list[CheckMessage] = []
    for key, arguments in HANDLERS.items():
        path = getattr(settings(), key.lower())
        try:
            exists = not path or callable(import_string(path))
        except ImportError:
            exists = False
        if not exists:
            hint = f'Set REFUND_PLUGIN["{key}"] to the dotted path of a function that takes {arguments}, or remove it.'
            found.append(Error(f'{key} names "{path}", which is no function.', hint=hint, id="refund_plugin.E009"))
    return found


@register("refund_plugin")
def check_floor(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """E010: the law for countries without a preset of their own is not known."""
    name = settings().floor_elsewhere
    if not name or name in floor_presets():
        return []
    hint = f'Set REFUND_PLUGIN["FLOOR_ELSEWHERE"] to one of: {", ".join(floor_presets())}; or register a preset of your own.'
    return [Error(f'FLOOR_ELSEWHERE names "{name}", which is no preset.', hint=hint, id="refund_plugin.E010")]


@register("refund_plugin")
def check_apps(app_configs: Configs, **kwargs: Any) -> list[CheckMessage]:
    """W002: Wagtail's models that the pages need are missing."""
    needed = [name for name in ("wagtail", "cms_pages") if not _installed(name)]
    hint = "Add them to INSTALLED_APPS."
    return [Warning(f"Not in INSTALLED_APPS: {', '.join(needed)}.", hint=hint, id="refund_plugin.W002")] if needed else []


def _installed(name: str) -> bool:
    return any(entry == name or entry.startswith(f"{name}.") for entry in django_settings.INSTALLED_APPS)


@register("refund_plugin", "database")
def check_sqlite(app_configs: Configs, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W003-W005: SQLite needs three lines to serve a web server and a worker at the same time."""
    if connection.vendor != "sqlite":
        return []
    options = connection.settings_dict.get("OPTIONS", {})
    found: list[CheckMessage] = []
    where = 'DATABASES["default"]["OPTIONS"]'
    if str(options.get("transaction_mode", "")).upper() != "IMMEDIATE":
        hint = f'Set {where}["transaction_mode"] = "IMMEDIATE", or two writers fail with "database is locked".'
        found.append(Warning("SQLite begins transactions without the write lock.", hint=hint, id="refund_plugin.W003"))
    if float(options.get("timeout", 5)) < 10:
        hint = f'Set {where}["timeout"] = 20 (seconds).'
        found.append(Warning("SQLite waits less than 10 seconds for a lock.", hint=hint, id="refund_plugin.W004"))
    if "journal_mode=wal" not in str(options.get("init_command", "")).replace(" ", "").lower():
        hint = f'Set {where}["init_command"] = "PRAGMA journal_mode=WAL;", so that readers and the writer do not block each other.'
        found.append(Warning("SQLite does not use its write-ahead log.", hint=hint, id="refund_plugin.W005"))
    return found


@register("refund_plugin", "database")
def check_named_rows(app_configs: Configs, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W007-W008: settings name a group or a store that is not there."""
    if check_settings(None) or not databases or not has_tables(Group, Store):
        return []
    conf, found = settings(), list[CheckMessage]()
    for name in sorted(set(conf.staff_limits) - set(Group.objects.values_list("name", flat=True))):
        hint = "Its members have no limit, if they may approve. Write the group's name as Settings → Groups shows it."
        found.append(
            Warning(f'REFUND_PLUGIN["STAFF_LIMITS"] names the group "{name}", which is not there.', hint=hint, id="refund_plugin.W007")
        )
    for slug in sorted(set(conf.order_books.values()) - {"", conf.store} - set(Store.objects.values_list("slug", flat=True))):
        hint = 'Use the slug of a store, or "" for the default one; until then its sales are not recorded.'
        found.append(
            Warning(f'REFUND_PLUGIN["ORDER_BOOKS"] names the store "{slug}", which is not there.', hint=hint, id="refund_plugin.W008")
        )
    return found


@register("refund_plugin", "database", deploy=True)
def check_mail(app_configs: Configs, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W009: links in customers' mail lead to their own machine; W011: its sender is nobody. Only with `--deploy`."""
    if check_settings(None):
        return []
    conf, found = settings(), list[CheckMessage]()
    if databases and (conf.public_url or has_tables(Site)) and _is_local(urlsplit(absolute_url("/")).hostname):
        hint = 'Set the host name under Settings → Sites in the Wagtail admin, or REFUND_PLUGIN["PUBLIC_URL"] = "https://…".'
        found.append(Warning("Links in mail to customers lead to localhost.", hint=hint, id="refund_plugin.W009"))
    sender = parseaddr(conf.from_email or django_settings.DEFAULT_FROM_EMAIL)[1]
    if _is_local(sender.rpartition("@")[2]):
        hint = 'Set REFUND_PLUGIN["FROM_EMAIL"], or Django\'s DEFAULT_FROM_EMAIL, to an address of yours.'
        found.append(Warning(f"Mail to customers comes from {sender}.", hint=hint, id="refund_plugin.W011"))
    return found


def _is_local(host: str | None) -> bool:
    return host in (None, "", "localhost", "127.0.0.1", "::1")


def has_tables(*models: type[Model]) -> bool:
    """Tell whether the tables of all these models are there: checks also run before the first `migrate`."""
    return {model._meta.db_table for model in models} <= set(connection.introspection.table_names())
