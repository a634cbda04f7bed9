"""Store credit instead of money: a gift card, or a voucher for one order, that a Saleor issues for a refund, once.

The refund is first taken from the machine, as for every payment by hand; then the credit is issued; then its code is the proof. The
code is noted before, and Saleor takes no code twice: after an answer that got lost, the same is looked for and found, never issued
again, and meanwhile nobody gives the refund back to the machine or pays it in another way.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.utils.encoding import force_bytes
from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor
from refund_plugin.errors import NotFound, WrongState
from refund_plugin.orders.models import SALEOR_CUSTOMER
from refund_plugin.refunds.authority import check_may
from refund_plugin.refunds.manual.services import ISSUING, check_may_prove, claim_by_hand, give_proof, note_credit, why_not_by_hand
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.states import RefundState
from refund_plugin.saleor.client import client_for
from refund_plugin.saleor.errors import SaleorError
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.stores.base import CreditKind, CreditTold
from refund_plugin.stores.codes import readable_code
from refund_plugin.stores.saleor_credit import issue, kind_of_credit

CREATIONS, AFTER_CREATION = frozenset({"GiftCardCreate", "VoucherCreate"}), frozenset({"VoucherChannelListingUpdate"})
CALL_SECONDS = 10.0
CLAIMED_BY = "saleor:"  # what the ids of Saleor's staff begin with, as actors


def can_be_credit(refund: Refund) -> bool:
    """Tell whether a refund may be given as store credit now: nobody has sent it, or Saleor's staff have taken it for that."""
    if refund.state == RefundState.MANUAL_CLAIMED:
        return _is_taken_here(refund)
    return not why_not_by_hand(refund) and refund.request is not None


def _is_taken_here(refund: Refund) -> bool:
    """Tell whether a claim was made for store credit; a colleague who claimed it elsewhere may be paying it in another way."""
    return refund.claimed_by_id.startswith(CLAIMED_BY)


def give_store_credit(*, refund_id: UUID, by: Actor, now: datetime) -> Refund:
    """Give a refund as store credit and record its code as the proof; done before, it changes nothing. No transaction may be open.

    Args:
        now: UTC.
    Raises:
        NotFound, NotAllowed: as `claim_by_hand`.
        WrongState: the money may be on its way, or the Saleor gives no store credit.
        SaleorError: not issued, or nobody knows: the refund stays claimed, so the money is not sent either; try again.
    """
    refund = Refund.objects.select_related("request__purchase__customer", "payment", "store").filter(pk=refund_id).first()
    if refund is None or refund.request is None:
        raise NotFound
    check_may(request=refund.request, by=by, action=Action.PAY_BY_HAND)
    if refund.state == RefundState.MANUAL_PAID and (refund.proof or {}).get("method") == "store_credit":
        return refund
    asked, installation = refund.request, SaleorInstallation.objects.filter(slug=refund.store.slug, is_active=True).first()
    kind = kind_of_credit(installation, "store_credit") if installation else None
    if not kind:
        raise WrongState(_("This store gives no store credit."))
    if refund.state != RefundState.MANUAL_CLAIMED:
        refund = claim_by_hand(refund_id=refund.pk, by=by, now=now)
    elif not _is_taken_here(refund):
        raise WrongState(_("%(name)s pays this refund by hand.") % {"name": refund.claimed_by_label})
    check_may_prove(refund=refund, by=by)  # before anything is issued
    noted = str((refund.proof or {}).get(ISSUING, ""))
    code = noted or new_code(str(refund.pk))
    note_credit(refund_id=refund.pk, by=by, reference=code)
    try:
        client = client_for(refund.store.slug, timeout_seconds=CALL_SECONDS)
        issue(client, _described(refund, asked, kind=kind, code=code))
    except (SaleorError, WrongState) as error:
        if _is_surely_not_issued(error, was_tried=bool(noted)):
            note_credit(refund_id=refund.pk, by=by, reference="")
        raise
    today = now.astimezone(ZoneInfo(refund.store.timezone)).date()
    return give_proof(refund_id=refund.pk, by=by, method="store_credit", reference=code, paid_on=today, now=now)


def _described(refund: Refund, asked: RefundRequest, *, kind: CreditKind, code: str) -> CreditTold:
    purchase = asked.purchase
    return CreditTold(
        store=refund.store.slug,
        kind=kind,
        code=code,
        worth=refund.amount,
        currency=refund.currency,
        name=asked.reference,
        channel=purchase.channel,
        store_customer_id=str(purchase.metadata.get(SALEOR_CUSTOMER) or ""),
        timezone=refund.store.timezone,
    )


def new_code(key: str) -> str:
    """Return a code that nobody guesses, always the same for a key and our secret key."""
    digest = hmac.new(force_bytes(django_settings.SECRET_KEY), f"refund_plugin.store_credit:{key}".encode(), "sha256").digest()
    return readable_code(digest)


def _is_surely_not_issued(error: Exception, *, was_tried: bool) -> bool:
    """Tell whether an error proves that no credit is there: before the creation nothing was sent, unless an earlier try was."""
    if not isinstance(error, SaleorError):
        return not was_tried
    if error.maybe_executed:
        return False
    return error.operation in CREATIONS or (not was_tried and error.operation not in AFTER_CREATION)
