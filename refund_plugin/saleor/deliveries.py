"""Proof that a delivery is one of our own webhooks': Saleor's signature, and a secret that it sends along with those alone.

Saleor signs for all its Apps with one key, and an App chooses by its subscription what is signed. So a signature tells which Saleor
wrote a text, and not for whom. The secret tells that: a webhook may have headers of its own, which Saleor reads anew for each
delivery, synchronous or not, and shows to that App itself and to whoever may manage Apps.
Source: Saleor's webhook/validators.py, webhook/transport/ and graphql/webhook/ of 3.20 to 3.24.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from refund_plugin.saleor import mapping
from refund_plugin.saleor.api import Caller, change
from refund_plugin.saleor.errors import KeysUnavailable, SecretUnreadable, SignatureInvalid
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import decrypt, encrypt, is_newest
from refund_plugin.saleor.signatures import verify_webhook

HEADER = "X-Refunds-Secret"  # Saleor allows X-* and Authorization*; Django's reports of errors hide what is called a secret
SECRET_BYTES = 32
# a delivery that was on its way when the header was set comes without it
GRACE = timedelta(minutes=2)


@sensitive_variables("headers", "secret")
def verify_delivery(*, body: bytes, headers: Mapping[str, str], installation: SaleorInstallation, now: datetime) -> None:
    """Check that a delivery was signed by an installation's Saleor, and made for our App there.

    The secret counts once Saleor has it on every webhook of ours; before that, the signature alone does.

    Args:
        headers: of the request; names in any case, as `request.headers` has them.
        now: UTC.
    Raises:
        SignatureInvalid: it was not.
        KeysUnavailable: it may be, and what would tell could not be read now; worth another delivery.
    """
    verify_webhook(body=body, signature=headers.get("Saleor-Signature", ""), installation=installation, now=now)
    if not is_secret_needed(installation, now=now):
        return
    try:
        secret = decrypt(installation.webhook_secret_encrypted)
    except SecretUnreadable as error:
        raise KeysUnavailable(error.message) from None
    if not hmac.compare_digest(headers.get(HEADER, "").encode(errors="replace"), secret.encode()):
        raise SignatureInvalid(_("It is signed, but does not carry the secret of our webhooks."))


def is_secret_needed(installation: SaleorInstallation, *, now: datetime) -> bool:
    """Tell whether a delivery without the secret is refused at `now` (UTC)."""
    return installation.webhook_secret_set_at is not None and installation.webhook_secret_set_at + GRACE <= now


def new_secret() -> str:
    """Return a new secret, encrypted: nobody needs it before it is kept."""
    return encrypt(secrets.token_urlsafe(SECRET_BYTES))


@sensitive_variables("secret")
def own_secret(installation: SaleorInstallation) -> str:
    """Return the secret that an installation's webhooks are to carry, and keep it encrypted with the newest key.

    One is made where there is none, or none that can be read; it is kept before anybody hears of it, so that whoever sets it sets the
    same one however often they begin again.

    Raises:
        SecretUnreadable: the App is removed, or installed anew, at this moment.
    """
    kept = installation.webhook_secret_encrypted
    try:
        secret = decrypt(kept)
    except SecretUnreadable:
        _keep(installation, new_secret(), webhook_secret_set_at=None)
    else:
        if is_newest(kept):
            return secret
        _keep(installation, encrypt(secret))
    return decrypt(installation.webhook_secret_encrypted)


def _keep(installation: SaleorInstallation, encrypted: str, **more: None) -> None:
    """Keep a secret in the place of the one that was read, unless another worker or an installation was faster; theirs counts then."""
    same = SaleorInstallation.objects.filter(pk=installation.pk, webhook_secret_encrypted=installation.webhook_secret_encrypted)
    same.exclude(token_encrypted="").update(webhook_secret_encrypted=encrypted, **more)
    installation.refresh_from_db(fields=["webhook_secret_encrypted", "webhook_secret_set_at"])


def note_secret_set(installation: SaleorInstallation, *, now: datetime) -> bool:
    """Note that all webhooks of an installation carry the secret of this row; False when it was noted before, or is not theirs any more.

    Args:
        now: UTC.
    """
    # every installation makes a new one
    same = SaleorInstallation.objects.filter(pk=installation.pk, webhook_secret_encrypted=installation.webhook_secret_encrypted)
    return bool(same.filter(webhook_secret_set_at__isnull=True).update(webhook_secret_set_at=now))


def set_webhook_headers(client: Caller, *, webhook_id: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Replace the headers of a webhook of ours, and return those that it has now. Repeating it is harmless.

    Raises:
        SaleorRefused: INVALID_CUSTOM_HEADERS for more than five, or NOT_FOUND when it is gone.
    """
    return change(
        client,
        "WebhookUpdate",
        lambda done: mapping.webhook_headers(done["webhook"]),
        id=webhook_id,
        customHeaders=json.dumps(dict(headers)),
    )
