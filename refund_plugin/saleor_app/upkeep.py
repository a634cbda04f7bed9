"""Looks after the installations: does each token still work, and may it do what we need? Older Saleors tell us of neither."""

from __future__ import annotations

import logging
from datetime import datetime

from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.events.heartbeats import beat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import hold_account, release_account
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.saleor.api import read_app, read_webhooks
from refund_plugin.saleor.client import client_for, renew_token
from refund_plugin.saleor.data import AppData
from refund_plugin.saleor.errors import (
    NotInstalled,
    SaleorError,
    SaleorPermissionDenied,
    SaleorTokenInvalid,
    SaleorVersionUnsupported,
    SecretUnreadable,
)
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor_app.install import missing_permissions
from refund_plugin.saleor_app.manifest import EVENTS
from refund_plugin.saleor_app.sites import keep_site
from refund_plugin.saleor_app.webhook_secrets import keep_webhook_secret
from refund_plugin.stores.models import Store

logger = logging.getLogger(__name__)

CALL_SECONDS = 10.0
# not an outage that ends by itself: somebody has to act
LASTING = (SaleorTokenInvalid, SaleorPermissionDenied, SaleorVersionUnsupported, SecretUnreadable)


def look_after_installations(now: datetime) -> int:
    """Look at every active installation, and see to it that its webhooks carry our secret and its store has its site.

    Return how many are well. One that does not answer is looked at again next time.

    Args:
        now: UTC.
    """
    well = [row for row in SaleorInstallation.objects.filter(is_active=True) if not look_at_installation(row, now=now)]
    for installation in well:
        keep_webhook_secret(installation)
        if no_site := keep_site(installation):
            logger.warning("%s: %s", installation.slug, no_site)
    return len(well)


def look_at_installation(installation: SaleorInstallation, *, now: datetime) -> str:
    """Ask one Saleor who we are there, hold or release its account, and return what is wrong, in a sentence; "" when all is well.

    No transaction may be open.
    """
    try:
        app = read_app(client_for(installation.slug, timeout_seconds=CALL_SECONDS))
    except LASTING as error:
        return _hold(installation, str(error.message), now=now)
    except (SaleorError, NotInstalled) as error:
        logger.warning("%s could not be looked at: %s", installation.slug, error)
        return str(error.message)
    _remember(installation, app)
    renew_token(installation)
    if missing := missing_permissions(app.permissions):
        told = _("Saleor has taken permissions away that the refund App needs: %(permissions)s. Grant them again, under Extensions.")
        return _hold(installation, told % {"permissions": ", ".join(missing)}, now=now)
    beat(beat_name(installation), now=clock.database_now())
    account = GatewayAccount.objects.filter(slug=installation.slug).first()
    if account is not None and account.on_hold:
        release_account(account)
    return ""


def look_at_deliveries(installation: SaleorInstallation) -> list[str]:
    """Ask one Saleor what it delivers to us, put right what we may, and return what is amiss, in sentences.

    No transaction may be open. Only the command asks this: staff who switch a webhook off know why.
    """
    try:
        webhooks = read_webhooks(client_for(installation.slug, timeout_seconds=CALL_SECONDS))
    except (SaleorError, NotInstalled) as error:
        return [str(error.message)]
    problems = [
        _("The webhook “%(name)s” is switched off in Saleor.") % {"name": webhook.name} for webhook in webhooks if not webhook.is_active
    ]
    delivered = {event for webhook in webhooks if webhook.is_active for event in webhook.events}
    if not problems and (missing := sorted(EVENTS - delivered)):
        told = _("Saleor does not deliver %(events)s. Remove the App there and install it again, so that it reads the manifest anew.")
        problems = [told % {"events": ", ".join(missing)}]
    if open_to_others := keep_webhook_secret(installation):
        told = _("Another App of this Saleor could imitate its events, because they do not carry our secret: %(why)s")
        problems.append(told % {"why": open_to_others})
    if no_site := keep_site(installation):
        problems.append(no_site)
    return problems


def beat_name(installation: SaleorInstallation) -> str:
    """Return the name of the sign of life that an installation leaves when all is well."""
    return f"saleor:{installation.slug}"


def _remember(installation: SaleorInstallation, app: AppData) -> None:
    told = {"version": app.version[:40], "permissions": sorted(app.permissions)}
    SaleorInstallation.objects.filter(pk=installation.pk, app_id=app.id).update(**told)


def _hold(installation: SaleorInstallation, why: str, *, now: datetime) -> str:
    same = SaleorInstallation.objects.filter(pk=installation.pk, is_active=True, token_encrypted=installation.token_encrypted)
    if not same.exists():  # installed anew, or removed, while we asked with the old token
        return why
    account = GatewayAccount.objects.filter(slug=installation.slug).first()
    store = Store.objects.filter(slug=installation.slug).first()
    if account is not None and (not account.on_hold or account.hold_reason != why[:200]):
        hold_account(account, reason=why)
    raise_alert(
        kind="saleor_refuses",
        key=f"saleor_refuses:{installation.pk}",
        why=why,
        store_id=store.pk if store else None,
        account=account,
        now=now,
    )
    return why
