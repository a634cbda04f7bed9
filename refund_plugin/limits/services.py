"""Count tries and refuse too many. Callers say what a subject is: an address, an order, a network."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings as django_settings
from django.db import connection, transaction

from refund_plugin.conf import Limit
from refund_plugin.errors import RateLimited
from refund_plugin.limits.models import Counter

FORGET_BATCH = 1000

Counts = Sequence[tuple[str, str, Limit]]


def check_limits(*, limits: Counts, now: datetime, watched: Counts = ()) -> None:
    """Count one try for every subject, and refuse when one of them has had more than its limit.

    All counters are raised by one statement, which is safe when several workers count at once. A window begins with the
    subject's first try. A refused try counts too. Call it outside a transaction that may roll back: a rollback forgets.

    Args:
        limits: scope (such as `lookup:network`), subject (such as an address), limit. Only a keyed hash of them is stored.
        watched: the same for subjects whose counters are read by that statement and not raised; one that has had all of
            its limit refuses the try. For what is counted later, once a try has failed.
        now: UTC.
    Raises:
        RateLimited: with `retry_after_seconds`, when the last exceeded window ends.
    """
    steps = {_key(scope, subject, limit): (limit, 0) for scope, subject, limit in watched}
    steps |= {_key(scope, subject, limit): (limit, 1) for scope, subject, limit in limits}
    if not steps:
        return
    # sorted: two statements that lock the same counters must do so in the same order
    wanted = sorted(steps.items())
    adapt = connection.ops.adapt_datetimefield_value
    values: list[str | int | None] = []
    for key, (limit, step) in wanted:
        values += [key, step, adapt(now + timedelta(seconds=limit.seconds))]
    table = connection.ops.quote_name(Counter._meta.db_table)
    rows = ", ".join(["(%s, %s, %s)"] * len(wanted))
    begins = "counter.tries = 0 OR counter.expires_at <= %s"  # one that was only watched has no window yet
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} AS counter (key, tries, expires_at) VALUES {rows} ON CONFLICT (key) DO UPDATE SET"
            f" tries = CASE WHEN {begins} THEN excluded.tries ELSE counter.tries + excluded.tries END,"
            f" expires_at = CASE WHEN {begins} THEN excluded.expires_at ELSE counter.expires_at END"
            " RETURNING key, tries, expires_at",
            [*values, adapt(now), adapt(now)],
        )
        counted = {key: (tries, expires_at) for key, tries, expires_at in cursor.fetchall()}
    # a watched counter stands for a try that would be one more
    exceeded = [key for key, (limit, step) in wanted if counted[key][0] + 1 - step > limit.count]
    if exceeded:
        waits = [(_utc(counted[key][1]) - now).total_seconds() for key in exceeded]
        raise RateLimited(retry_after_seconds=max(1, round(max(waits))))


def forget_expired(now: datetime) -> int:
    """Delete counters whose window has ended, at most a batch of them; return how many."""
    with transaction.atomic():
        expired = Counter.objects.filter(expires_at__lte=now)
        if connection.features.has_select_for_update_skip_locked:
            # never wait for a counter in use: its holder may be waiting for one of ours
            expired = expired.select_for_update(skip_locked=True)
        keys = list(expired.values_list("key", flat=True)[:FORGET_BATCH])
        return Counter.objects.filter(key__in=keys, expires_at__lte=now).delete()[0]


def _key(scope: str, subject: str, limit: Limit) -> str:
    # the limit belongs to it, so that changing the settings starts new windows
    message = "\x1f".join(("refund_plugin.limits", scope, str(limit.count), str(limit.seconds), subject)).encode(errors="surrogatepass")
    return hmac.new(django_settings.SECRET_KEY.encode(), message, hashlib.sha256).hexdigest()


def _utc(value: datetime | str) -> datetime:
    """Read a moment as the database's driver gives it: SQLite keeps text, in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
