"""A wrong policy, and everybody asks: no more than the ceiling is paid, everybody is answered, the law's own come first."""

from __future__ import annotations

import pytest
from django.core import mail
from django.db.models import Sum

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.events.services import deliver_due
from refund_plugin.refunds.brake.models import AutomaticMoney
from refund_plugin.refunds.brake.services import set_automatic
from refund_plugin.refunds.brake.windows import Ceiling, Per, spent_within
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.law import reimburse_by
from refund_plugin.refunds.models import Alert, Refund, RefundRequest
from refund_plugin.refunds.queries import needs_person, staff_queue
from refund_plugin.refunds.states import RefundState, RequestState
from refund_plugin.stores.services import ensure_default_store
from tests.factories import EBOOK, make_purchase
from tests.refunds.helpers import ask
from tests.refunds.test_races import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("policy")]

CLIENTS, EACH = 64, 1820
CEILING = 10 * EACH + 5


def set_ceiling(*ceilings: Ceiling) -> None:
    set_automatic(store=ensure_default_store(), mode="automatic", limit_minor={}, ceilings=ceilings, by=SYSTEM, now=clock.now())


def paid() -> int:
    return Refund.objects.aggregate(sum=Sum("amount_minor"))["sum"] or 0


@pytest.mark.parametrize("known", [True, False], ids=["row exists", "first request ever"])
def test_clients_asking_at_the_same_moment_never_pass_the_ceiling_and_use_all_of_it(settings, known):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "BRAKE": {"hour": {"EUR": CEILING}}}
    if not known:
        AutomaticMoney.objects.all().delete()
    purchases = [make_purchase() for _number in range(CLIENTS)]

    results = at_once(lambda number: ask(purchases[number]), clients=CLIENTS)

    assert all(isinstance(result, RefundRequest) for result in results), results
    assert paid() == CEILING // EACH * EACH
    row = AutomaticMoney.objects.get(store=ensure_default_store())
    assert spent_within(row.spent, "EUR", Per.HOUR, clock.database_now()) == paid()
    assert RefundRequest.objects.filter(state=RequestState.IN_REVIEW, decisions__brake="brake_hour").count() == CLIENTS - 10
    assert Alert.objects.filter(kind="brake").count() == 1


def test_under_a_wrong_policy_no_more_than_the_ceiling_is_paid_and_everybody_is_acknowledged(gateway):
    set_ceiling(Ceiling("EUR", Per.HOUR, CEILING), Ceiling("EUR", Per.DAY, CEILING, sku=EBOOK.sku))
    count, statutory = 60, 7
    requests = [ask(make_purchase(email=f"customer{number}@example.com")) for number in range(count)]
    waiting = [request for request in requests if request.state == RequestState.IN_REVIEW]
    withdrawn = waiting[-statutory:]
    for request in withdrawn:
        due = reimburse_by(request.created_at)
        RefundRequest.objects.filter(pk=request.pk).update(is_withdrawal=True, withdrawn_at=request.created_at, reimburse_by=due)

    drive_refunds()
    while deliver_due():
        continue

    sent = Refund.objects.filter(state=RefundState.SUCCEEDED).aggregate(sum=Sum("amount_minor"))["sum"]
    assert sent == CEILING // EACH * EACH
    for request in requests:
        assert any(request.reference in message.body for message in mail.outbox), request
    listed = list(staff_queue(filters=needs_person()).values_list("pk", flat=True))
    assert len(listed) == count - 10
    assert set(listed[:statutory]) == {request.pk for request in withdrawn}
