"""One small shop in which every page about money has something to show: real rows, made by the services that make them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.test.utils import override_settings
from pytest_django.live_server_helper import LiveServer

from refund_plugin import clock
from refund_plugin.actor import SYSTEM, Actor, customer_actor
from refund_plugin.events.heartbeats import beat
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.gateways.facts import WebhookDispute
from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.access import correct_access, record_access
from refund_plugin.orders.data import LineData
from refund_plugin.orders.models import AccessEvent, AccessKind, Purchase
from refund_plugin.refunds.brake.services import pause_automatic
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.disputes import record_dispute
from refund_plugin.refunds.ledger.models import CreditNote
from refund_plugin.refunds.ledger.verify import run_duty
from refund_plugin.refunds.manual.services import release_claim
from refund_plugin.refunds.models import Alert, Dispute, Refund, RefundOrigin, RefundRequest, WaitsFor
from refund_plugin.refunds.people import staff_actor
from refund_plugin.refunds.reconcile.models import ReconciliationRun, RunState
from refund_plugin.refunds.reconcile.queries import VERIFY_BEAT
from refund_plugin.refunds.reconcile.services import advance_run, start_run
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.states import RefundState
from refund_plugin.refunds.sweep import WORKER
from refund_plugin.refunds.tracking import tracking_token
from refund_plugin.stores.services import ensure_default_store
from tests.factories import COURSE, EBOOK, LICENCE, make_purchase, publish_policy

SETTINGS = {
    "STORE_NAME": "Paper Heron",
    "BASE_TEMPLATE": "base.html",
    "GATEWAYS": {"main": {"kind": "memory"}},
    "RATE_PER_SECOND": 0,
    "RECONCILE_HOURS": 24,
}
LONG = "a.person.with.a.very.long.address.indeed@correspondence.example.com"


@dataclass(frozen=True, slots=True)
class World:
    """Where the shop answers, who is signed in, and what it has.

    Attributes:
        session: the session cookie of `person`, who may do everything.
        waiting: requests whose refunds a person may pay by hand.
    """

    url: str
    session: str
    person: Actor
    gateway: MemoryGateway
    refunded: RefundRequest
    ending: RefundRequest
    stopped: RefundRequest
    waiting: list[RefundRequest]
    dispute: Dispute
    external: Refund
    alert: Alert
    note: CreditNote
    use: AccessEvent

    @property
    def paths(self) -> dict[str, str]:
        """Every page about money, by a short name."""
        admin = "/admin/refunds"
        return {
            "automatic": f"{admin}/automatic/",
            "alerts": f"{admin}/alerts/",
            "alert": f"{admin}/alerts/{self.alert.pk}/",
            "worklist": f"{admin}/by-hand/",
            "disputes": f"{admin}/disputes/",
            "dispute": f"{admin}/disputes/{self.dispute.pk}/",
            "elsewhere": f"{admin}/elsewhere/",
            "allocation": f"{admin}/elsewhere/{self.external.pk}/",
            "books": f"{admin}/books/",
            "credit-notes": f"{admin}/books/credit-notes/",
            "credit-note": f"{admin}/books/credit-notes/{self.note.pk}/",
            "money": f"{admin}/money/",
            "case-refunded": f"{admin}/cases/{self.refunded.pk}/",
            "case-ending": f"{admin}/cases/{self.ending.pk}/",
            "case-stopped": f"{admin}/cases/{self.stopped.pk}/",
            "correct-use": f"{admin}/cases/{self.stopped.pk}/access/{self.use.pk}/",
            "pay-by-hand": f"{admin}/cases/{self.waiting[0].pk}/refunds/{self.waiting[0].refunds.get().pk}/claim/",
            "track-refunded": f"/refunds/track/{tracking_token(self.refunded)}/",
            "track-ending": f"/refunds/track/{tracking_token(self.ending)}/",
            "track-stopped": f"/refunds/track/{tracking_token(self.stopped)}/",
        }

    def compare(self, *, answers: bool = True) -> None:
        """Do what a worker does for the comparison that is under way: read it to its end, or meet a provider that is silent."""
        run = ReconciliationRun.objects.get(state=RunState.RUNNING)
        if not answers:
            self.gateway.break_listings()
            assert not advance_run(run.pk, now=clock.now())
            ReconciliationRun.objects.update(lease_until=None)  # the pause until the next try is over
            return
        while advance_run(run.pk, now=clock.now()):
            continue

    def release_all(self) -> int:
        """Give back to the machine what was claimed; return how many that were."""
        claimed = list(Refund.objects.filter(state=RefundState.MANUAL_CLAIMED))
        for refund in claimed:
            release_claim(refund_id=refund.pk, by=self.person, now=clock.now())
        return len(claimed)


@contextmanager
def money_world() -> Iterator[World]:
    """Serve the shop from this process until the block ends; the database is empty afterwards."""
    server = LiveServer("127.0.0.1")
    try:
        with override_settings(REFUND_PLUGIN={**SETTINGS, "PUBLIC_URL": server.url}, ALLOWED_HOSTS=["127.0.0.1"]):
            yield _seed(server.url)
    finally:
        server.stop()
        _ledgers.clear()
        call_command("flush", interactive=False, verbosity=0)


def _seed(url: str) -> World:
    _ledgers.clear()
    ensure_accounts()
    store, gateway = ensure_default_store(), gateway_for(default_account())
    assert isinstance(gateway, MemoryGateway)
    publish_policy(now=clock.now() - timedelta(days=365), limit=100)
    refunded = _ask(_buy(EBOOK, COURSE))
    _approve(refunded)
    drive_refunds()
    Refund.objects.update(trace_reference="74530223299999999999999")
    gateway.script("pending")
    _approve(_ask(_buy(COURSE)))
    drive_refunds()
    gateway.script("timeout_after_commit")
    _approve(_ask(_buy(EBOOK)))
    drive_refunds()
    ending, stopped = _ask(_buy(EBOOK)), _ask(_buy(LICENCE))
    waiting = [_ask(_buy(EBOOK, email=LONG)), *(_ask(_buy(LICENCE)) for _number in range(3))]
    for request in (ending, stopped, *waiting):
        _approve(request)
    Refund.objects.filter(request=ending).update(waits_for=WaitsFor.SUBSCRIPTION)
    Refund.objects.filter(request=stopped).update(waits_for=WaitsFor.PERSON, needs_person="more has gone than was paid")
    dispute = _dispute(_buy(EBOOK, LICENCE), "needs_response", "dp_1QbM5o2eZvKYlo2C")
    _dispute(_buy(EBOOK), "warning_needs_response", "dp_2QbM5o2eZvKYlo2C")
    elsewhere = _buy(EBOOK, LICENCE)
    gateway.refund_externally(elsewhere.payments.get().gateway_payment_id, Money(2000, "EUR"))
    over = _buy(EBOOK)
    _approve(_ask(over))
    gateway.refund_externally(over.payments.get().gateway_payment_id, Money(1820, "EUR"), AnswerKind.PENDING)
    run = start_run(account=default_account())
    while advance_run(run.pk, now=clock.now()):
        continue
    run_duty(clock.now())
    beat(WORKER, now=clock.now())
    beat(VERIFY_BEAT, now=clock.database_now())
    now = clock.now()
    pause_automatic(store=store, until=now + timedelta(hours=4), by=SYSTEM, why="The new clause pays too much.", now=now)
    while deliver_due():
        continue
    person = get_user_model().objects.create_superuser("mira", "mira@example.com", "secret", first_name="Mira", last_name="Okafor")
    client = Client()
    client.force_login(person)
    return World(
        url=url,
        session=client.cookies["sessionid"].value,
        person=staff_actor(person, store),
        gateway=gateway,
        refunded=refunded,
        ending=ending,
        stopped=stopped,
        waiting=waiting,
        dispute=dispute,
        external=Refund.objects.get(origin=RefundOrigin.EXTERNAL, amount_minor=2000),
        alert=Alert.objects.filter(refund__isnull=False).latest("pk"),
        note=CreditNote.objects.earliest("pk"),
        use=_use(stopped),
    )


def _buy(*lines: LineData, email: str = "ada@example.com") -> Purchase:
    return make_purchase(lines=lines, email=email, purchased_at=clock.now() - timedelta(days=6))


def _ask(purchase: Purchase) -> RefundRequest:
    return request_refund(
        purchase_id=purchase.pk,
        lines={line.pk: line.quantity for line in purchase.lines.all()},
        reason="changed_mind",
        message="The last chapter is missing, and the fonts do not open.",
        by=customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id),
        submission_key=f"a-key-of-its-own-{purchase.pk}",
        now=clock.now(),
    )


def _use(request: RefundRequest) -> AccessEvent:
    """Record three uses, of which one does not count; return another."""
    line, now = request.purchase.lines.get(), clock.now()
    downloaded, failed, _viewed = (
        record_access(line=line, kind=kind, amount=amount, source="cdn", source_id=str(number), occurred_at=now - timedelta(hours=number))
        for number, (kind, amount) in enumerate([(AccessKind.DOWNLOADED, 1), (AccessKind.ACTIVATED, 2), (AccessKind.VIEWED, 40)])
    )
    correct_access(fact_id=failed.pk, reason="failed", note="The licence server answered with an error, twice.", by=SYSTEM, now=now)
    return downloaded


def _approve(request: RefundRequest) -> None:
    approve_request(request_id=request.pk, by=SYSTEM, reason="Fine.", now=clock.now())


def _dispute(purchase: Purchase, status: str, name: str) -> Dispute:
    for kind in (AccessKind.DOWNLOADED, AccessKind.VIEWED):
        AccessEvent.objects.create(line=purchase.lines.first(), kind=kind, source_id=kind, occurred_at=clock.now() - timedelta(days=5))
    inquiry = status.startswith("warning_")
    told = WebhookDispute(
        event_id=f"evt_{name}",
        event_type="charge.dispute.created",
        livemode=False,
        created=clock.now(),
        dispute_id=name,
        gateway_payment_id=purchase.payments.get().gateway_payment_id,
        status=status,
        amount=Money(1820, "EUR"),
        reason="product_not_received",
        is_inquiry=inquiry,
        is_open=True,
        is_won=False,
        is_lost=False,
        evidence_due=clock.now() + timedelta(days=7),
    )
    found = record_dispute(account=default_account(), told=told, now=clock.now())
    assert found is not None
    return found
