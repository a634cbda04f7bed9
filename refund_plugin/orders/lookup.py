"""Order number and e-mail address, tried by anybody: the purchase they open, within limits.

A network pays for every try. An order and an address pay only for tries that failed, and for several networks' worth of
them: so nobody guesses for ever, however many networks they have, and no single one locks a customer out. Whoever guesses
right after the limit is told to wait like everybody else, or the limit would not keep anybody from guessing.
"""

from __future__ import annotations

from datetime import datetime

from refund_plugin.conf import Limit, settings
from refund_plugin.errors import NotFound
from refund_plugin.limits.services import check_limits
from refund_plugin.orders.models import Purchase
from refund_plugin.orders.queries import clean_email, clean_number, find_purchase

# failed tries for one order or one address, from everywhere, in units of what one network may try
NETWORKS = 5


def look_up_purchase(*, store_slug: str, number: str, email: str, network: str | None, now: datetime, asks: bool = False) -> Purchase:
    """Return the purchase that order number and e-mail open, and count the try.

    One statement before the purchase is looked for, and one after a failure; an unknown number and a wrong address do the same.
    Tries that run at the very same moment are all let through before the first of them has failed.

    Args:
        network: of the one who tries; None for a program, whose customers share one.
        asks: a refund is asked for, which has a limit of its own. It is counted for number and address together, so that
            without the right address nobody uses up the buyer's.
        now: UTC.
    Raises:
        NotFound: unknown number or wrong address, which read the same.
        RateLimited: too many tries, whether this one is right or wrong.
    """
    limit = settings().limit_lookup
    order = f"{store_slug}:{clean_number(number).lower()}"
    shared = Limit(limit.count * NETWORKS, limit.seconds)
    failures = [("lookup:address", clean_email(email), shared), ("lookup:order", order, shared)]
    tries = [("lookup:network", network, limit)] if network else []
    if asks:
        tries += _request_limits(f"{order}:{clean_email(email)}", network)
    check_limits(limits=tries, watched=failures, now=now)
    try:
        return find_purchase(store_slug=store_slug, number=number, email=email)
    except NotFound:
        check_limits(limits=failures, now=now)
        raise


def count_request(*, purchase: Purchase, network: str | None, now: datetime, user: str = "") -> None:
    """Count a question for money by somebody who has proved to be the buyer.

    Args:
        purchase: with its store and customer.
        network: of the one who asks; None behind a program, whose customers share one.
        user: a name, within the store, of who is signed in and may ask for many purchases; "" where only the purchase counts.
        now: UTC.
    Raises:
        RateLimited: too many, for the purchase, of the user or from the network.
    """
    buyer = f"{purchase.store.slug}:{purchase.number.lower()}:{purchase.customer.email}"
    limits = _request_limits(buyer, network)
    if user:
        limits.append(("request:user", f"{purchase.store.slug}:{user}", settings().limit_request))
    check_limits(limits=limits, now=now)


def _request_limits(buyer: str, network: str | None) -> list[tuple[str, str, Limit]]:
    limit = settings().limit_request
    return [("request:purchase", buyer, limit), *([("request:network", network, limit)] if network else [])]
