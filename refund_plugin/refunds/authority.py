"""Who may do what to a request: checked by services, whatever the door."""

from __future__ import annotations

from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor, ActorKind, saleor_id
from refund_plugin.errors import NotAllowed, NotFound
from refund_plugin.money import Money
from refund_plugin.orders.models import SALEOR_CUSTOMER, Purchase
from refund_plugin.refunds.models import RefundRequest

TRUSTED = frozenset({ActorKind.SYSTEM, ActorKind.ENGINE})


def check_owns(*, purchase: Purchase, by: Actor) -> None:
    """A customer acts on their own purchase only; others on purchases of their store only.

    Raises:
        NotFound: a foreign purchase reads like an unknown one.
    """
    if by.store_id is not None and by.store_id != purchase.store_id:
        raise NotFound
    if by.kind == ActorKind.CUSTOMER and by.id != str(purchase.customer_id):
        raise NotFound


def check_may(*, request: RefundRequest, by: Actor, action: Action, amount: Money | None = None) -> None:
    """Check that `by` may do `action` on the request, up to `amount`.

    Raises:
        NotFound: another store's request.
        NotAllowed: the action or the amount is beyond the actor's authority, or it is the actor's own request.
    """
    if by.store_id is not None and by.store_id != request.store_id:
        raise NotFound
    if by.kind in TRUSTED:
        return
    if by.kind == ActorKind.CUSTOMER or not by.may(action):
        raise NotAllowed
    check_not_own(request=request, by=by)
    if amount is not None:
        limit = by.limit_minor.get(amount.currency)
        if limit is not None and amount.minor > limit:
            raise NotAllowed(
                _("You may approve up to %(limit)s. Ask a colleague with a higher limit.") % {"limit": Money(limit, amount.currency)},
                field="amounts",
            )


def check_not_own(*, request: RefundRequest, by: Actor) -> None:
    """Nobody decides about their own money, whether they bought signed in or as a guest.

    Raises:
        NotAllowed: the purchase is the acting user's, or was made with their address.
    """
    if is_own(purchase=request.purchase, by=by):
        raise NotAllowed(_("This is your own request: a colleague has to decide it."))


def is_own(*, purchase: Purchase, by: Actor) -> bool:
    """Tell whether a member of staff bought this, signed in here or at their Saleor, whatever the address, or with their address."""
    bought_signed_in = purchase.user_id is not None and by.id == str(purchase.user_id)
    customer = purchase.metadata.get(SALEOR_CUSTOMER)
    bought_at_saleor = bool(customer) and by.id == saleor_id(customer)
    bought_as_guest = bool(by.email) and by.email == purchase.customer.email
    return by.kind == ActorKind.STAFF and (bought_signed_in or bought_at_saleor or bought_as_guest)
