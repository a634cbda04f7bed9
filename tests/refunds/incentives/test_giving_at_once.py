"""Several people give at the same moment, each with a connection of their own: the limits hold, and a double click gives once."""

from __future__ import annotations

import pytest

from refund_plugin import clock
from refund_plugin.errors import NotAllowed
from refund_plugin.money import Money
from refund_plugin.refunds.incentives.models import Incentive
from refund_plugin.refunds.incentives.services import give_incentive, issue_now
from refund_plugin.stores import registry
from tests.factories import EBOOK, make_purchase
from tests.issuing_store import IssuingStore
from tests.refunds.helpers import CLERK, ask
from tests.refunds.test_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(monkeypatch, policy, settings):
    """The store issues vouchers, one for each customer."""
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "INCENTIVES": {"per_customer": 1}}
    made = IssuingStore()
    monkeypatch.setitem(registry._adapters, "local", made)
    return made


def give(request, key):
    told = {"days": 90, "reason": "She waited long.", "message": "", "by": CLERK, "now": clock.now()}
    return give_incentive(request_id=request.pk, worth=Money(1000, "EUR"), submission_key=key, **told)


def test_people_who_give_at_once_with_several_requests_of_a_customer_stay_within_the_limit(shop):
    asked = [ask(make_purchase(lines=[EBOOK])) for _time in range(4)]
    results = at_once(lambda number: give(asked[number % 4], f"wish-{number}"))
    assert sum(isinstance(result, Incentive) for result in results) == Incentive.objects.count() == 1
    assert sum(isinstance(result, NotAllowed) for result in results) == len(results) - 1


def test_one_wish_that_arrives_several_times_at_once_is_written_and_issued_once(shop):
    request = ask(make_purchase(lines=[EBOOK]))

    def click(number):
        return issue_now(incentive_id=give(request, "one-wish").pk, now=clock.now())

    results = at_once(click)
    assert {result.pk for result in results} == {Incentive.objects.get().pk}
    assert len(shop.issued) == 1
