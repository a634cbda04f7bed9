import threading

import pytest
from django.db import connection

from refund_plugin.actor import SYSTEM
from refund_plugin.conf import Limit
from refund_plugin.errors import RateLimited, WrongState
from refund_plugin.events.models import Event
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.limits.models import Counter
from refund_plugin.limits.services import check_limits
from refund_plugin.orders.access import correct_access, record_access
from refund_plugin.orders.models import AccessCorrection, AccessEvent, Customer, Payment, Purchase, PurchaseLine
from refund_plugin.orders.services import record_purchase
from refund_plugin.stores.services import ensure_default_store
from tests.orders.examples import NOW, order

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 6


def all_at_once(work):
    """Run `work` in several threads that start together; return what each returned or raised."""
    start, ended = threading.Barrier(THREADS), []

    def run():
        try:
            start.wait(timeout=30)
            ended.append(work())
        except Exception as error:
            ended.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return ended


def test_the_same_order_told_by_several_at_once_is_recorded_once(settings):
    settings.REFUND_PLUGIN = {"GATEWAYS": {"main": {"kind": "memory"}}}
    ensure_accounts()
    store = ensure_default_store()

    outcomes = all_at_once(lambda: record_purchase(store=store, data=order(), now=NOW)[1])

    assert sorted(outcomes) == [False] * (THREADS - 1) + [True]
    assert (Purchase.objects.count(), PurchaseLine.objects.count(), Payment.objects.count(), Customer.objects.count()) == (1, 2, 1, 1)


def test_tries_made_at_once_are_all_counted():
    limits = [("order", "1042", Limit(3, 60)), ("network", "192.0.2.0/24", Limit(3, 60))]

    outcomes = all_at_once(lambda: check_limits(limits=limits, now=NOW))

    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == THREADS - 3
    assert outcomes.count(None) == 3
    assert list(Counter.objects.values_list("tries", flat=True)) == [THREADS, THREADS]


def test_a_use_told_by_several_at_once_is_one_row_and_is_corrected_once(settings):
    settings.REFUND_PLUGIN = {"GATEWAYS": {"main": {"kind": "memory"}}}
    ensure_accounts()
    line = record_purchase(store=ensure_default_store(), data=order(), now=NOW)[0].lines.first()

    told = all_at_once(lambda: record_access(line=line, kind="downloaded", source_id="log-7", occurred_at=NOW).pk)
    assert told == [AccessEvent.objects.get().pk] * THREADS

    corrected = all_at_once(lambda: correct_access(fact_id=told[0], reason="failed", note="0 bytes.", by=SYSTEM, now=NOW).pk)
    assert sum(isinstance(outcome, WrongState) for outcome in corrected) == THREADS - 1
    assert AccessCorrection.objects.get().pk in corrected
    assert Event.objects.filter(kind="access_corrected").count() == 1
