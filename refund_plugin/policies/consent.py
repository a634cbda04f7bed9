"""The consent ledger: record what a customer agreed to, confirm it durably, and tell of which lines it is proven."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput, Required
from refund_plugin.events import services as events
from refund_plugin.events.models import Event
from refund_plugin.orders.models import AccessEvent, Nature, Purchase, PurchaseLine
from refund_plugin.orders.queries import clean_number
from refund_plugin.orders.validation import CLOCK_SLACK
from refund_plugin.policies.consent_models import Consent, ConsentConfirmation
from refund_plugin.policies.events import CONSENT_GIVEN, consent_given
from refund_plugin.stores.models import Store

MAX_WORDING = 10_000
MAX_NAME = 120
SOURCE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,39}\Z")
CHANNEL = re.compile(r"[a-z0-9_-]{1,20}\Z")
LOCALE = re.compile(r"[A-Za-z]{2,8}([-_@][A-Za-z0-9]{1,8})*\Z")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def record_consent(
    *,
    store: Store,
    wording: str,
    locale: str,
    agreed_to_begin: bool,
    acknowledged: bool,
    given_at: datetime,
    source_id: str,
    now: datetime,
    line: PurchaseLine | None = None,
    order_number: str = "",
    sku: str = "",
    source: str = "checkout",
    confirm_by_mail: bool = True,
) -> Consent:
    """Append what a customer answered to the ledger; the same answer told twice is one row.

    Source: Directive 2011/83/EU art. 16(m): prior express consent, acknowledgement, and confirmation; all three or nothing.

    Args:
        wording: what the customer read, to the character; up to `MAX_WORDING` characters.
        locale: the language of the wording, such as "de" or "pt-br".
        agreed_to_begin: they asked that it begin before the time to withdraw is over.
        acknowledged: they understood that they lose the right to withdraw with that.
        given_at: when they answered, UTC.
        source_id: the caller's name of the answer, unique per store and source, such as the id of a checkout.
        line: what it is about; or, where it is not recorded yet, `order_number` with `sku` ("" for every line of the order).
        confirm_by_mail: let us mail the confirmation as soon as this is told of a purchase that is recorded. Otherwise the shop
            sends it and tells `confirm_consent`.
    Raises:
        Required, InvalidInput: a value cannot be used, or `source_id` names another answer already.
    """
    order_number, sku = clean_number(order_number), sku.strip()
    _check_texts(wording=wording, locale=locale, order_number=order_number, sku=sku, source=source, source_id=source_id)
    if given_at.tzinfo is None or given_at > now + CLOCK_SLACK:
        raise InvalidInput(_("Tell when it was given, with a time zone and not in the future."), field="given_at")
    if (line is None) == (not order_number) or (line is not None and sku):
        raise Required(_("Name what it is about: either the line, or the order number."), field="order_number")
    if line is not None and line.purchase.store_id != store.pk:
        raise InvalidInput(_("This line belongs to another shop."), field="line")
    answer = {
        "line": line,
        "order_number": order_number,
        "sku": sku,
        "wording": wording,
        "wording_hash": wording_hash(wording),
        "locale": locale,
        "agreed_to_begin": agreed_to_begin,
        "acknowledged": acknowledged,
    }
    with transaction.atomic():
        consent, is_new = Consent.objects.get_or_create(
            store=store, source=source, source_id=source_id, defaults={**answer, "given_at": given_at}
        )
        if not is_new and any(getattr(consent, name) != value for name, value in answer.items()):
            raise InvalidInput(_("Another answer already has this name."), field="source_id")
        if confirm_by_mail and agreed_to_begin and acknowledged:
            _do_ask_for_confirmation(consent, is_new=is_new, now=now)
    return consent


def confirm_consent(*, consent: Consent, confirmed_at: datetime, channel: str = "mail", now: datetime) -> ConsentConfirmation:
    """Record that the customer was handed the wording and their answer on a durable medium; the first time counts.

    Source: Directive 2011/83/EU art. 8(7).

    Raises:
        InvalidInput: a moment that lies ahead or before the consent itself, or a channel that is no word.
    """
    if confirmed_at.tzinfo is None or confirmed_at > now + CLOCK_SLACK or confirmed_at < consent.given_at - CLOCK_SLACK:
        raise InvalidInput(_("Tell when it was confirmed: after it was given, and not in the future."), field="confirmed_at")
    if not CHANNEL.match(channel):
        raise InvalidInput(_("Name the way it was sent in a word of lower-case letters, such as “mail”."), field="channel")
    return ConsentConfirmation.objects.get_or_create(consent=consent, defaults={"confirmed_at": confirmed_at, "channel": channel})[0]


def consents_of(line_ids: Collection[int]) -> Mapping[int, bool | None]:
    """Tell for each line, by id, whether consent is proven; one statement.

    True only with consent before the first use that counts, acknowledgement, and durable confirmation. False when the
    customer's answer falls short of that, and for digital content that was sold after the shop began to keep this ledger:
    who keeps it has no proof of what is not in it. None when nobody knows.
    """
    if not line_ids:
        return {}
    about = Q(line=OuterRef("pk")) | (
        Q(store=OuterRef("purchase__store_id"), order_number=OuterRef("purchase__number")) & (Q(sku="") | Q(sku=OuterRef("sku")))
    )
    earlier_use = AccessEvent.objects.filter(line=OuterRef(OuterRef("pk")), occurred_at__lt=OuterRef("given_at"), correction__isnull=True)
    proven = Consent.objects.filter(about, ~Exists(earlier_use), agreed_to_begin=True, acknowledged=True, confirmation__isnull=False)
    kept = Consent.objects.filter(store=OuterRef("purchase__store_id"), given_at__lte=OuterRef("purchase__purchased_at"))
    lines = PurchaseLine.objects.filter(pk__in=line_ids).annotate(
        proven=Exists(proven), told=Exists(Consent.objects.filter(about)), kept=Exists(kept)
    )
    return {
        pk: True if proven else False if told or (kept and nature == Nature.CONTENT) else None
        for pk, nature, proven, told, kept in lines.order_by().values_list("pk", "nature", "proven", "told", "kept")
    }


def consents_about(purchase: Purchase) -> QuerySet[Consent]:
    """Return what the ledger holds about a purchase, oldest first, with the confirmations, for whoever has to prove it."""
    about = Q(line__purchase=purchase) | Q(store=purchase.store_id, order_number=purchase.number)
    return Consent.objects.filter(about).select_related("confirmation", "line").order_by("given_at", "pk")


def wording_hash(wording: str) -> str:
    """Return the SHA-256 of a wording's bytes in UTF-8, in hex."""
    return hashlib.sha256(wording.encode()).hexdigest()


def _do_ask_for_confirmation(consent: Consent, *, is_new: bool, now: datetime) -> None:
    if consent.line is not None:
        purchase: Purchase | None = consent.line.purchase
    else:
        purchase = Purchase.objects.filter(store=consent.store_id, number=consent.order_number).first()
    if purchase is None or ConsentConfirmation.objects.filter(consent=consent).exists():
        return  # an order that is not recorded has nobody to write to: tell the answer again once it is
    if not is_new and Event.objects.filter(kind=CONSENT_GIVEN, store=consent.store_id, payload__consent=consent.pk).exists():
        return
    events.record(consent_given(store_id=consent.store_id, consent_id=consent.pk, customer_id=purchase.customer_id), now=now)


def _check_texts(*, wording: str, locale: str, order_number: str, sku: str, source: str, source_id: str) -> None:
    if not wording.strip() or len(wording) > MAX_WORDING or _UNSTORABLE.search(wording):
        text = _("Give the wording that the customer read, in up to %(most)d plain characters.")
        raise Required(text % {"most": MAX_WORDING}, field="wording")
    if len(locale) > 20 or not LOCALE.match(locale):
        raise InvalidInput(_("Give the language of the wording, such as “de” or “pt-br”."), field="locale")
    if len(order_number) > 64 or _UNSTORABLE.search(order_number):
        raise InvalidInput(_("An order number has up to 64 plain characters."), field="order_number")
    if len(sku) > 120 or _UNSTORABLE.search(sku):
        raise InvalidInput(_("A SKU has up to 120 plain characters."), field="sku")
    if not source_id or len(source_id) > MAX_NAME or _UNSTORABLE.search(source_id):
        raise Required(_("Name the answer with 1 to 120 characters, so that telling it twice counts once."), field="source_id")
    if not SOURCE.match(source):
        raise InvalidInput(_("Name who tells it in a word of lower-case letters, such as “checkout”."), field="source")
