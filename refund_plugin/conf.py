"""The one settings dict, `REFUND_PLUGIN`, read into one typed, frozen object.

Every key is optional. Unknown keys and wrong types are reported by the system checks (`checks.py`), which name the fix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache

from django.conf import settings as django_settings
from django.core.signals import setting_changed


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` tries in `seconds`."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Typed view of `REFUND_PLUGIN`; each attribute is the lower-case name of its key.

    Attributes:
        store: slug of the default store; the row is made by `migrate`.
        store_name: its name for people.
        timezone: IANA name in which windows are counted and times shown; empty means Django's `TIME_ZONE`.
        gateways: by account slug: `kind` and the adapter's own options (`api_key`, `api_base`, `webhook_secret`, …).
            The first one is the default account.
        order_books: accounts whose gateway is also the order book: by account slug, the slug of the store that its sales
            belong to; an empty one means the default store.
        saleor: the Saleors that may install the App: by API address (`https://shop.example/graphql/`), its options; an empty
            dict will do. See docs/saleor.md.
        encryption_keys: what tokens in the database are encrypted with, newest first; none means a key made from `SECRET_KEY`
            (and for reading, from `SECRET_KEY_FALLBACKS`).
        installation: a name for this installation, sent in gateway metadata, so that two installations on one
            gateway account never adopt each other's refunds.
        base_template: the host's template that our customer pages extend, through its block `content`.
        public_url: scheme and host for links in mail, without a trailing slash; empty means the default Wagtail site's.
        from_email: sender of our mail; empty means `DEFAULT_FROM_EMAIL`.
        reply_to: address customers may answer to; empty means none.
        lease_seconds: how long a worker may hold a claimed refund before another may take it over.
        key_replay_hours: how long an idempotency key may be replayed (Stripe keeps keys for at least 24 h).
        claim_batch: how many refunds a worker claims at once.
        concurrent_calls: how many calls to a gateway one worker makes at the same time.
        rate_per_second: calls to one endpoint of an account in a second, all workers together; 0 means no limit.
        breaker_failures: timeouts and server errors in a row after which an account is left alone for a while.
        breaker_seconds: how long, the first time; it doubles while the gateway stays silent, up to half a minute.
        reconcile_hours: how often the gateway's listing is compared with ours; 0 means only when somebody starts it.
        reconcile_days: how far back it is read.
        selftest_hours: how often accounts in test mode are tested by a small charge and its refund; 0 means never by itself.
        selftest_currency: what is charged in.
        sweep_seconds: how often the periodic sweep looks for work nobody rang for.
        doorbell_timeout_seconds: how long a customer's request may wait for the broker at most.
        retry_base_seconds, retry_max_seconds: backoff between attempts.
        limit_lookup: tries of order number and e-mail per network; failed ones per address and order, five times as many.
        limit_mail: "mail me my purchases", per address and network.
        limit_request: refund requests, per purchase and network.
        limit_customer: requests of customers who are signed in at a Saleor's storefront, per customer and per network.
        limit_access: facts of use that one service token may tell.
        storefront_origins: origins, such as `https://shop.example`, whose pages may call the GraphQL API from the browser.
        staff_limits: by group name, the most that its members may approve at once, in minor units by currency, for example
            `{"Refund staff": {"EUR": 10000}}`. The highest of a person's groups counts; a group that is not named, and a
            currency that is not named, has no limit.
        brake: how far a store that set nothing lets the policy move money by itself: `mode` (observe, suggest, automatic),
            `hour` and `day` (the most approved automatically within it, in minor units by currency; `*` is every other
            currency, None means no ceiling), for example `{"mode": "automatic", "hour": {"EUR": 200000}}`. Without it: automatic,
            up to about 1,000 euro an hour and 5,000 a day.
        incentives: how much a person may give a customer besides a refund: `amount` (the most at once, in minor units by currency;
            `*` is every other one), `percent` (the most off one order), `per_customer` (how many within 30 days), for example
            `{"amount": {"EUR": 2000}, "percent": 20, "per_customer": 1}`. Without it: about 50 euro, 25 %, and 3.
        access_handler: dotted path of a function that locks and unlocks what customers bought; empty means there is none.
        download_handler: dotted path of a function that hands out a file behind a signed link: takes the request and a
            `web.download.Download`, returns the response; empty means that there are no such links.
        download_seconds: how long such a link lasts.
        fix_handler: dotted path of a function that takes a purchase line and returns `web.fixes.Fix` links that may help with what
            does not work, shown beside the refund; empty means there are none.
        quote_seconds: how long a quoted amount is kept, whatever the passing of time would take from it.
        document_sku: dotted path of a function that takes a Wagtail document and returns the SKU it is sold under, or ""; empty
            means that no document is sold.
        credit_note_prefix: how the numbers of credit notes begin; `{year}` in it begins a new series each year.
        trusted_proxies: how many reverse proxies append to X-Forwarded-For; 0 means use the peer's address.
        floor_elsewhere: name of the preset whose law counts for consumers in countries that have no preset of their own, and where the
            country is not known; empty means that only the policy counts for them.
        graphql_max_depth, graphql_max_tokens: limits on a query.
        graphql_max_body_bytes: largest request body accepted by the GraphQL door.
    """

    store: str = "default"
    store_name: str = "Shop"
    timezone: str = ""
    gateways: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    order_books: Mapping[str, str] = field(default_factory=dict)
    saleor: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    encryption_keys: Sequence[str] = ()
    installation: str = "default"
    base_template: str = "base.html"
    public_url: str = ""
    from_email: str = ""
    reply_to: str = ""
    lease_seconds: int = 20
    key_replay_hours: int = 20
    claim_batch: int = 50
    concurrent_calls: int = 16
    rate_per_second: float = 25.0
    breaker_failures: int = 8
    breaker_seconds: float = 10.0
    reconcile_hours: int = 24
    reconcile_days: int = 35
    selftest_hours: int = 0
    selftest_currency: str = "EUR"
    sweep_seconds: int = 5
    doorbell_timeout_seconds: float = 0.5
    retry_base_seconds: float = 2.0
    retry_max_seconds: float = 240.0
    limit_lookup: Limit = Limit(20, 600)
    limit_mail: Limit = Limit(5, 3600)
    limit_request: Limit = Limit(20, 600)
    limit_customer: Limit = Limit(300, 600)
    limit_access: Limit = Limit(6000, 60)
    storefront_origins: Sequence[str] = ()
    staff_limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    brake: Mapping[str, object] = field(default_factory=dict)
    incentives: Mapping[str, object] = field(default_factory=dict)
    access_handler: str = ""
    download_handler: str = ""
    download_seconds: int = 3600
    fix_handler: str = ""
    quote_seconds: int = 1800
    document_sku: str = ""
    credit_note_prefix: str = "CN-{year}-"
    floor_elsewhere: str = ""
    trusted_proxies: int = 0
    graphql_max_depth: int = 10
    graphql_max_tokens: int = 600
    graphql_max_body_bytes: int = 100_000

    @property
    def zone(self) -> str:
        """IANA name of the store's time zone."""
        return self.timezone or django_settings.TIME_ZONE


KEYS = {f.name.upper(): f for f in fields(Settings)}


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings in force; unknown keys are ignored here and reported by the checks."""
    raw: Mapping[str, object] = getattr(django_settings, "REFUND_PLUGIN", {})
    values = {}
    for key, value in raw.items():
        known = KEYS.get(key)
        if known is None:
            continue
        if isinstance(known.default, Limit) and isinstance(value, (tuple, list)):
            value = Limit(*value)
        values[known.name] = value
    return Settings(**values)  # type: ignore[arg-type]


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "REFUND_PLUGIN":
        settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="refund_plugin.conf")
