"""Gift cards and vouchers that a Saleor issues, each once for a code that we choose. Needs the extra `saleor`.

Saleor takes no code twice. So after an answer that got lost the code is looked for, and what was begun with it is finished.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from refund_plugin.errors import WrongState
from refund_plugin.money import Money
from refund_plugin.saleor import api, credit
from refund_plugin.saleor.client import SaleorClient
from refund_plugin.saleor.errors import SaleorRefused
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import STORE_CREDIT, allowed_options
from refund_plugin.stores.base import CreditKind, CreditTold

TAKEN = frozenset({"ALREADY_EXISTS", "UNIQUE"})


def kind_of_credit(installation: SaleorInstallation, option: Literal["store_credit", "incentive"]) -> CreditKind | None:
    """Return what an installation gives instead of money, or besides; None when nothing, or when the App may not issue it."""
    kind = str((allowed_options(installation.api_url) or {}).get(option) or "")
    return CreditKind(kind) if kind in STORE_CREDIT and STORE_CREDIT[kind] in installation.permissions else None


def issue(client: SaleorClient, told: CreditTold) -> None:
    """Issue what is described, unless it was issued before.

    Raises:
        SaleorError: not issued, or nobody knows.
        WrongState: there is no such channel in its currency, or it is no gift card's worth.
    """
    if told.kind == CreditKind.VOUCHER:
        issue_voucher(
            client,
            code=told.code,
            worth=told.worth,
            currency=told.currency,
            name=told.name,
            channel=told.channel,
            ends_at=told.ends_at,
        )
        return
    if not isinstance(told.worth, Money):
        raise WrongState(_("A gift card has an amount."))
    issue_gift_card(
        client,
        code=told.code,
        amount=told.worth,
        note=told.name,
        customer=told.store_customer_id,
        ends_at=told.ends_at,
        timezone=told.timezone,
    )


def issue_gift_card(
    client: SaleorClient,
    *,
    code: str,
    amount: Money,
    note: str,
    customer: str = "",
    ends_at: datetime | None = None,
    timezone: str = "UTC",
) -> None:
    """Issue a gift card with this code, unless it was issued before.

    Args:
        code: one for each card, for good.
        customer: Saleor's id of the account that alone may use it (3.23); "" for whoever has the code.
        ends_at: UTC; Saleor knows the day only, which is the store's. None for a card that lasts.
        timezone: IANA name of the store's.
    """
    if credit.find_gift_card(client, code=code):
        return
    try:
        credit.create_gift_card(
            client,
            code=code,
            amount=amount.decimal,
            currency=amount.currency,
            note=note,
            assigned_to=customer,
            expires_on=ends_at.astimezone(ZoneInfo(timezone)).date() if ends_at else None,
        )
    except SaleorRefused as error:
        if error.saleor_code not in TAKEN:
            raise


def issue_voucher(
    client: SaleorClient, *, code: str, worth: Money | int, currency: str, name: str, channel: str, ends_at: datetime | None = None
) -> None:
    """Issue a voucher for one order in one channel, or finish the one that was begun with this code.

    Args:
        worth: an amount in `currency`, or whole percent.
        ends_at: UTC; None for one that lasts.
    Raises:
        WrongState: there is no such channel in the currency.
    """
    listed = [each for each in api.read_channels(client) if each.slug == channel and each.currency == currency]
    if not listed:
        raise WrongState(_("Saleor has no channel “%(channel)s” in %(currency)s.") % {"channel": channel, "currency": currency})
    value_type: Literal["FIXED", "PERCENTAGE"] = "FIXED" if isinstance(worth, Money) else "PERCENTAGE"
    found = credit.find_voucher(client, code=code)
    if found is None:
        try:
            found = credit.create_voucher(client, code=code, name=name, value_type=value_type, end_date=ends_at)
        except SaleorRefused as error:
            found = credit.find_voucher(client, code=code) if error.saleor_code in TAKEN else None
            if found is None:
                raise
    value = worth.decimal if isinstance(worth, Money) else Decimal(worth)
    credit.list_voucher(client, voucher_id=found.id, channel_id=listed[0].id, value=value)
