"""An installation of the App in a Saleor begins, begins anew, and ends. Purchases, books and refunds stay in every case."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from refund_plugin.conf import settings
from refund_plugin.errors import RefundPluginError
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.taking_over import start_backfill
from refund_plugin.saleor.api import read_app
from refund_plugin.saleor.client import SaleorClient, client_for
from refund_plugin.saleor.data import AppData
from refund_plugin.saleor.deliveries import new_secret
from refund_plugin.saleor.errors import (
    SaleorError,
    SaleorPermissionDenied,
    SaleorTokenInvalid,
    SaleorVersionUnsupported,
    SecretUnreadable,
)
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import allowed_options, is_secure, normalised, slug_for
from refund_plugin.saleor.secrets import encrypt
from refund_plugin.saleor.versions import check_version
from refund_plugin.saleor_app.manifest import PERMISSIONS, app_id
from refund_plugin.saleor_app.sites import keep_site
from refund_plugin.stores.models import Store

logger = logging.getLogger(__name__)

KIND = "saleor"  # of the account's gateway and of the store's adapter
REMOVED = "the App was removed in Saleor"
# Saleor waits 18 seconds for the handshake, and removes the App when nothing comes
CALL_BACK_SECONDS, CALL_BACK_TRIES = 6.0, 2


class InstallationRefused(RefundPluginError):
    """The App is not installed; Saleor shows the message to whoever pressed the button there."""

    code = "INSTALLATION_REFUSED"
    default_message = gettext_lazy("The refund App cannot be installed here.")

    def __init__(self, code: str, message: object) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Proven:
    """A token that the Saleor at the allowed address gave to our App: the request that brought it was signed by nobody."""

    api_url: str
    token: str
    app: AppData

    def __repr__(self) -> str:
        return f"Proven({self.api_url})"


def missing_permissions(granted: object) -> list[str]:
    """Return the permissions that we need and Saleor did not grant, sorted.

    Args:
        granted: Saleor's codes, such as "MANAGE_ORDERS".
    """
    return sorted(set(PERMISSIONS) - set(granted if isinstance(granted, (list, tuple, set, frozenset)) else ()))


def prove_token(*, api_url: str, token: str) -> Proven:
    """Ask the Saleor that a token is said to come from whose it is; no transaction may be open.

    Args:
        api_url: from the request. Only an address that the settings name is called, and as they write it.
    Raises:
        InstallationRefused: not allowed here, not our App's token, a permission is missing, or no version that we know.
    """
    if allowed_options(api_url) is None:
        logger.warning("an installation by %r was refused: REFUND_PLUGIN['SALEOR'] does not name it", api_url[:200])
        raise InstallationRefused("NOT_ALLOWED", _("This Saleor may not install the refund App. Its administrator has to allow it first."))
    address = normalised(api_url)
    if not is_secure(address):
        raise InstallationRefused("NOT_SECURE", _("The API address has to begin with https://."))
    try:
        app = read_app(SaleorClient(address, token, timeout_seconds=CALL_BACK_SECONDS, attempts=CALL_BACK_TRIES))
        check_version(app.version)
    except (SaleorTokenInvalid, SaleorPermissionDenied) as error:
        raise _unknown_token() from error
    except SaleorVersionUnsupported as error:
        raise InstallationRefused("VERSION_UNSUPPORTED", error.message) from error
    except SaleorError as error:
        logger.warning("the installation by %s could not be confirmed: %s", address, error)
        told = _("The refund App could not reach this Saleor to confirm the installation. Try again in a minute.")
        raise InstallationRefused("NOT_CONFIRMED", told) from error
    if app.identifier != app_id():  # another App's token: whoever runs that App must not become ours
        raise _unknown_token()
    if missing := missing_permissions(app.permissions):
        told = _("The refund App needs these permissions too: %(permissions)s.") % {"permissions": ", ".join(missing)}
        raise InstallationRefused("PERMISSIONS_MISSING", told)
    return Proven(address, token, app)


def _unknown_token() -> InstallationRefused:
    return InstallationRefused("TOKEN_UNKNOWN", _("This Saleor does not know the token. Install the App again, and let it be activated."))


def record_installation(*, proven: Proven, now: datetime) -> SaleorInstallation:
    """Keep the token, encrypted, with the store and the account of that Saleor; a repeated one replaces what was kept.

    Workers then read the orders that are there already.

    The first installation makes the rows, and two at once make them once. Its slug never changes, because purchases hang on it.

    Raises:
        InstallationRefused: the slug belongs to another store, account or Saleor.
    """
    kept: dict[str, Any] = {
        "app_id": proven.app.id,
        "token_encrypted": encrypt(proven.token),
        "version": proven.app.version[:40],
        "permissions": sorted(proven.app.permissions),
        "keys": {},  # of the Saleor that was there before, perhaps; read again when something is signed
        "keys_read_at": None,
        "webhook_secret_encrypted": new_secret(),  # Saleor makes its webhooks anew as well; soon they carry this one
        "webhook_secret_set_at": None,
        "is_active": True,
        "installed_at": now,
        "removed_at": None,
    }
    try:
        with transaction.atomic(durable=True):
            installation, _made = SaleorInstallation.objects.update_or_create(
                api_url=proven.api_url, defaults=kept, create_defaults={**kept, "slug": slug_for(proven.api_url)}
            )
            account = _own_rows(installation, name=proven.app.shop_name)
    except IntegrityError as error:
        raise _taken(slug_for(proven.api_url)) from error
    if no_site := keep_site(installation):
        logger.warning("%s: %s", installation.slug, no_site)
    start_backfill(account=account, now=now)
    logger.info("the App is installed in %s, Saleor %s", proven.api_url, proven.app.version)
    return installation


def _own_rows(installation: SaleorInstallation, *, name: str) -> GatewayAccount:
    called = name[:200] or urlsplit(installation.api_url).hostname or installation.slug
    store, _made = Store.objects.get_or_create(
        slug=installation.slug, defaults={"name": called, "adapter": KIND, "timezone": settings().zone}
    )
    account, _made = GatewayAccount.objects.get_or_create(slug=installation.slug, defaults={"kind": KIND, "livemode": True})
    if not (store.adapter == KIND or _adopt(store)) or account.kind != KIND:
        raise _taken(installation.slug)
    GatewayAccount.objects.filter(pk=account.pk).update(on_hold=False, hold_reason="")
    return account


def _adopt(store: Store) -> bool:
    """Make the default store the Saleor's, which `migrate` made before there was one, unless something was bought in it.

    A site whose only shop is the Saleor calls both by one name: then its pages, its policy and its staff are that shop's.
    """
    if store.slug != settings().store:
        return False
    return bool(Store.objects.filter(pk=store.pk, adapter="local", purchases=None).update(adapter=KIND))


def _taken(slug: str) -> InstallationRefused:
    told = _("There is another store or account named “%(slug)s”. Set the option “store” of this Saleor to a name of its own.")
    return InstallationRefused("STORE_TAKEN", told % {"slug": slug})


def is_removed(installation: SaleorInstallation) -> bool:
    """Ask a Saleor whether it has really removed the App; no transaction may be open.

    Every App of a Saleor may have texts of its own making signed with the same key, so a signed word alone does not cut us off.

    Raises:
        SaleorError: it does not answer now.
    """
    try:
        read_app(client_for(installation.slug, timeout_seconds=CALL_BACK_SECONDS, attempts=1))
    except (SaleorTokenInvalid, SecretUnreadable):  # nobody there knows the token, or we do not know it any more
        return True
    return False


def remove_installation(*, installation: SaleorInstallation, app_id: str, now: datetime) -> bool:
    """Forget the token of an App that was removed, and send nothing more over its account; return whether that was news.

    What is on its way keeps its state: the other side may still have paid it, and the reconciler goes on asking after a new
    installation.

    Args:
        app_id: of the removed App. An earlier installation's removal, told late, does not end the present one.
        now: UTC.
    """
    with transaction.atomic(durable=True):
        row = SaleorInstallation.objects.select_for_update().get(pk=installation.pk)
        if not row.is_active or not app_id or row.app_id != app_id:
            return False
        row.token_encrypted, row.webhook_secret_encrypted = "", ""
        row.webhook_secret_set_at, row.is_active, row.removed_at = None, False, now
        row.save(update_fields=["token_encrypted", "webhook_secret_encrypted", "webhook_secret_set_at", "is_active", "removed_at"])
        GatewayAccount.objects.filter(slug=row.slug, kind=KIND).update(on_hold=True, hold_reason=REMOVED)
    logger.warning("the App was removed in %s", row.api_url)
    return True
