"""Gift cards and vouchers that a Saleor issues, each once for a code that we choose. Needs the extra `saleor`.

Saleor takes no code twice. So after an answer that got lost the code is looked for, and what was begun with it is finished.
"""

from __future__ import annotations

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
    """Issue what is described, unless it was issued before; what was begun with its code is finished.

    Raises:
        SaleorError: not issued, or nobody knows.
        WrongState: there is no such channel in its currency, or it is no gift card's worth.
    """
    if told.kind == CreditKind.VOUCHER:
        _issue_voucher(client, told)
    else:
        _issue_gift_card(client, told)


def _issue_gift_card(client: SaleorClient, told: CreditTold) -> None:
    """Issue a gift card; a known customer alone may use it (3.23), else whoever has the code."""
    if not isinstance(told.worth, Money):
        raise WrongState(_("A gift card has an amount."))
    if credit.find_gift_card(client, code=told.code):
        return
    try:
        credit.create_gift_card(
            client,
            code=told.code,
            amount=told.worth.decimal,
            currency=told.worth.currency,
            note=told.name,
            assigned_to=told.store_customer_id,
            expires_on=told.ends_at.astimezone(ZoneInfo(told.timezone)).date() if told.ends_at else None,
        )
    except SaleorRefused as error:
        if error.saleor_code not in TAKEN:
            raise


def _issue_voucher(client: SaleorClient, told: CreditTold) -> None:
    """Issue a voucher for one order in one channel, in which alone it is good."""
    listed = [each for each in api.read_channels(client) if (each.slug, each.currency) == (told.channel, told.currency)]
    if not listed:
        missing = {"channel": told.channel, "currency": told.currency}
        raise WrongState(_("Saleor has no channel “%(channel)s” in %(currency)s.") % missing)
    found = credit.find_voucher(client, code=told.code)
    if found is None:
        value_type: Literal["FIXED", "PERCENTAGE"] = "FIXED" if isinstance(told.worth, Money) else "PERCENTAGE"
        try:
            found = credit.create_voucher(client, code=told.code, name=told.name, value_type=value_type, end_date=told.ends_at)
        except SaleorRefused as error:
            found = credit.find_voucher(client, code=told.code) if error.saleor_code in TAKEN else None
            if found is None:
                raise
    value = told.worth.decimal if isinstance(told.worth, Money) else Decimal(told.worth)
    credit.list_voucher(client, voucher_id=found.id, channel_id=listed[0].id, value=value)
