"""The whole way, through real HTTP on both sides: a Saleor, our App as a server, and Stripe's sandbox, each on a port of its own.

Both versions of Saleor; twice over: the payment is our App's, or it belongs to another payment app.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from bs4 import BeautifulSoup
from django.core.checks import run_checks
from django.test import Client

from demo.sandbox.process import SandboxServer
from refund_plugin import clock
from refund_plugin.client import RefundClient, Tracked
from refund_plugin.events.services import deliver_due
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.telling.services import tell_stores
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store
from refund_plugin.webhooks.apply import apply_waiting
from tests.factories import publish_policy
from tests.saleor.dashboard.conftest import Panel
from tests.saleor.standin import Standin
from tests.saleor.standin.traps import Fault
from tests.saleor.standin.world import App, Order, TransactionItem, User

pytestmark = pytest.mark.django_db(transaction=True)

EMAIL = "ada@example.com"
WARM_SECONDS = 120  # the first request of a process loads everything, and Saleor's time limits are not about that
ROUNDS = 10  # of everybody's work, after which whoever is not done yet will never be


@pytest.fixture
def saleor(saleor_version: str) -> Any:
    """A Saleor that reaches our App over HTTP."""
    standin = Standin(saleor_version).start()
    yield standin
    standin.stop()


@dataclass
class World:
    """Everybody: the Saleor, our App's server, the payment server, and whoever works in the background."""

    saleor: Standin
    sandbox: SandboxServer
    app: App
    url: str
    staff: User

    def work(self) -> None:
        """Let Saleor send, our workers work, and Saleor take in what they tell, until nobody has anything to do."""
        for _ in range(ROUNDS):
            busy = self.saleor.work() + apply_waiting() + drive_refunds() + deliver_due() + tell_stores(clock.now())
            if not busy:
                return
        raise AssertionError("somebody is never done")

    def later(self, minutes: int) -> None:
        """Let time pass on both sides, and everybody do what is due by then."""
        self.saleor.clock.advance(minutes * 60)
        with clock.travel(timedelta(minutes=minutes)):
            self.work()

    def sell(self, *prices: str, ours: bool) -> tuple[Order, TransactionItem]:
        """Sell books, one for each price; paid through our App at the sandbox, or through the other payment app."""
        lines = [{"name": f"Book {index}", "sku": f"BOOK-{index}", "price": price} for index, price in enumerate(prices)]
        order = self.saleor.add_order(lines=lines, email=EMAIL, number="1042")
        if ours:
            cents = int(order.total_gross * 100)
            payment = self.sandbox.post("payments", amount=cents, currency="EUR", payment_method="pm_card_visa")
            transaction = self.saleor.pay(order, app=self.app, psp_reference=payment["id"])
        else:
            transaction = self.saleor.pay(order)
        self.work()
        return order, transaction

    def ask(self) -> Tracked:
        """Ask for the first line back, as a customer does in the storefront."""
        client = RefundClient(f"{self.url}/refunds/graphql/", channel="paper-heron")
        quote = client.quote("1042", EMAIL)
        asked = client.request_refund("1042", EMAIL, lines={quote.lines[0].id: 1}, reason="changed_mind")
        self.work()
        return client.track(asked.tracking_token)

    def widget(self, order: Order, **fields: str) -> str:
        """Open the panel beside an order, as the dashboard's frame does; returns what can be read there."""
        answer = self.saleor.dashboard_post("ORDER_DETAILS_WIDGETS", self.staff, self.app, orderId=order.id, **fields)
        assert answer.status == 200
        return " ".join(BeautifulSoup(answer.body, "html.parser").get_text(" ").split())

    def press(self, page: bytes, label: str, **changes: str) -> bytes:
        """Press a button of a panel, as the browser in the dashboard's frame does."""
        panel = Panel(SimpleNamespace(content=page, wsgi_request=SimpleNamespace(path="/refunds/saleor/widgets/order/")))
        button = next(each for each in panel.soup.select("button") if each.get_text(" ", strip=True).startswith(label))
        path, fields = panel.sent_by(button)
        answer = requests.post(urljoin(self.url, path), data={**fields, **changes}, timeout=WARM_SECONDS)
        assert answer.status_code == 200
        return answer.content

    def paid_at_stripe(self) -> int:
        """What the sandbox really paid back, in cents."""
        refunds = self.sandbox.get("state")["refunds"]
        return sum(refund["amount"] for refund in refunds if refund["status"] in ("succeeded", "pending"))


@pytest.fixture
def world(saleor: Standin, sandbox: SandboxServer, live_server: Any, settings: Any) -> World:
    """Our App, installed through its manifest in a Saleor that the settings name, with a policy for its store."""
    settings.REFUND_PLUGIN = {
        **settings.REFUND_PLUGIN,
        "RATE_PER_SECOND": 0,
        "SALEOR": {saleor.api_url: {"store": "paper-heron", "payment_account": "default"}},
    }
    requests.get(f"{live_server.url}/refunds/saleor/manifest.json", timeout=WARM_SECONDS)
    app = saleor.install(f"{live_server.url}/refunds/saleor/manifest.json")
    publish_policy(store=Store.objects.get(slug="paper-heron"))
    staff = saleor.add_user("sam@shop.example", staff_permissions=["MANAGE_ORDERS", "HANDLE_PAYMENTS"])
    return World(saleor, sandbox, app, live_server.url, staff)


def test_from_the_order_to_the_money_over_our_own_payment(world: World) -> None:
    order, transaction = world.sell("18.20", "30.00", ours=True)
    purchase = Purchase.objects.get()
    assert (purchase.number, purchase.store.slug, purchase.metadata["saleor_order"]) == ("1042", "paper-heron", order.id)

    done = world.ask()

    assert (done.settlement, done.amount) == ("COMPLETE", Money(1820, "EUR"))
    assert world.paid_at_stripe() == 1820
    assert (transaction.refunded, transaction.refund_pending, transaction.charged) == (Decimal("18.20"), 0, Decimal("30.00"))
    told = [event for event in transaction.events if event.type == "REFUND_SUCCESS"]
    assert [event.psp_reference for event in told] == [str(Refund.objects.get().pk)]
    story = world.widget(order)
    steps = ["Asked for a refund", "Approved, by the policy", "Sent to the way it was paid", "Refunded to the way it was paid · €18.20"]
    assert re.search(".*".join(re.escape(step) for step in steps), story), story


def test_from_the_order_to_the_money_over_another_payment_app(world: World) -> None:
    order, transaction = world.sell("18.20", "30.00", ours=False)
    world.saleor.other.default = "async"

    waiting = world.ask()
    assert (waiting.settlement, waiting.final) == ("IN_PROGRESS", False)
    assert world.saleor.other.paid_for(transaction.id) == 0

    world.saleor.settle_other()
    world.work()
    (refund,) = Refund.objects.all()
    assert (refund.state, refund.amount) == ("succeeded", Money(1820, "EUR"))
    assert world.saleor.other.paid_for(transaction.id) == Decimal("18.20")
    assert transaction.refunded == Decimal("18.20")
    assert [grant.status for grant in order.granted_refunds] == ["SUCCESS"]
    assert world.paid_at_stripe() == 0


def test_a_double_click_in_our_panel_pays_once(world: World) -> None:
    order, transaction = world.sell("18.20", "30.00", ours=True)
    opened = world.saleor.dashboard_post("ORDER_DETAILS_WIDGETS", world.staff, world.app, orderId=order.id)
    sure = world.press(world.press(opened.body, "Start a refund"), "Continue", reason="other")
    clicks = [threading.Thread(target=world.press, args=(sure, "Send €48.20 back")) for _ in range(2)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    world.work()
    assert world.paid_at_stripe() == 4820
    assert (transaction.refunded, transaction.charged) == (Decimal("48.20"), 0)
    assert RefundRequest.objects.count() == 1


def test_what_another_payment_app_refuses_is_asked_for_once_and_has_failed_here_too(world: World) -> None:
    order, transaction = world.sell("30.00", ours=False)
    world.saleor.other.default = "failure"
    world.ask()
    world.later(minutes=30)
    (refund,) = Refund.objects.all()
    assert (refund.state, [grant.status for grant in order.granted_refunds]) == ("failed", ["FAILURE"])
    assert len(world.saleor.other.asked) == 1
    assert transaction.charged == 30


def test_an_answer_of_another_payment_app_that_is_lost_is_never_asked_for_again_by_us(world: World) -> None:
    _order, transaction = world.sell("30.00", ours=False)
    world.saleor.other.default = "lost"
    world.ask()
    for minutes in (10, 60, 600):
        world.later(minutes=minutes)
    assert world.saleor.other.paid_for(transaction.id) == 30


def test_an_app_that_was_removed_and_installed_again_goes_on_where_it_was(world: World) -> None:
    _order, transaction = world.sell("18.20", "30.00", ours=True)
    world.saleor.uninstall(world.app)
    world.work()
    world.app = world.saleor.install(f"{world.url}/refunds/saleor/manifest.json")

    done = world.ask()

    assert done.settlement == "COMPLETE"
    assert world.paid_at_stripe() == 1820
    assert transaction.refunded == Decimal("18.20")


def test_while_saleor_is_down_the_customer_is_paid_and_saleor_hears_of_it_afterwards(world: World) -> None:
    _order, transaction = world.sell("18.20", "30.00", ours=True)
    world.saleor.traps.add(Fault("502", times=10_000))

    done = world.ask()

    assert done.settlement == "COMPLETE"
    assert (world.paid_at_stripe(), transaction.refunded) == (1820, 0)
    world.saleor.traps.clear()
    world.later(minutes=120)
    assert transaction.refunded == Decimal("18.20")


def test_a_double_click_in_saleors_dashboard_pays_once(world: World) -> None:
    order, transaction = world.sell("60.00", ours=True)
    grant = world.saleor.grant(order, transaction, "20.00", user=world.staff)
    world.saleor.send_refunds_together([grant, grant], user=world.staff)
    in_two_threads(world.saleor)
    world.work()
    assert world.paid_at_stripe() == 2000
    assert (transaction.refunded, transaction.charged) == (20, 40)
    assert Refund.objects.count() == 1


def test_a_double_click_without_a_grant_pays_once(world: World) -> None:
    _order, transaction = world.sell("60.00", ours=True)
    world.saleor.double_click(transaction, "20.00", user=world.staff)
    in_two_threads(world.saleor)
    world.work()
    assert world.paid_at_stripe() == 2000
    assert (transaction.refunded, transaction.charged) == (20, 40)
    assert Refund.objects.count() == 1


def test_an_answer_that_came_too_late_for_saleor_is_paid_once_although_staff_press_again(world: World) -> None:
    order, transaction = world.sell("60.00", ours=True)
    grant = world.saleor.grant(order, transaction, "20.00", user=world.staff)
    world.saleor.traps.add_sync("timeout")
    world.saleor.send_refund(grant, user=world.staff)
    world.saleor.work()
    assert grant.status == "FAILURE"
    world.saleor.send_refund(grant, user=world.staff)
    world.work()
    assert world.paid_at_stripe() == 2000
    assert (transaction.refunded, transaction.charged) == (20, 40)
    assert Refund.objects.count() == 1


def test_a_request_that_comes_again_without_its_body_pays_once(world: World) -> None:
    order, transaction = world.sell("30.00", ours=True)
    grant = world.saleor.grant(order, transaction, "30.00", user=world.staff)
    world.saleor.traps.add_sync("502")
    world.saleor.send_refund(grant, user=world.staff)
    world.work()
    world.later(minutes=30)
    assert [delivery.retries for delivery in world.saleor.post.sent if delivery.request] == [1]
    assert world.paid_at_stripe() == 3000
    assert (transaction.refunded, transaction.charged) == (30, 0)


def test_two_granted_refunds_at_once_never_exceed_the_charge(world: World) -> None:
    order, transaction = world.sell("30.00", ours=True)
    grants = [world.saleor.grant(order, transaction, "30.00", user=world.staff) for _ in range(2)]
    world.saleor.send_refunds_together(grants, user=world.staff)
    in_two_threads(world.saleor)
    world.work()
    assert world.paid_at_stripe() == 3000
    assert (transaction.refunded, transaction.charged) == (30, 0)
    assert sorted(grant.status for grant in grants) == ["FAILURE", "SUCCESS"]


def in_two_threads(saleor: Standin) -> None:
    """Let two of Saleor's workers send what waits, at the same time."""
    workers = [threading.Thread(target=saleor.work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def test_a_site_that_has_nothing_but_the_saleor_serves_its_customers_on_its_own_pages(
    saleor: Standin, live_server: Any, settings: Any, client: Client
) -> None:
    settings.REFUND_PLUGIN = {
        **settings.REFUND_PLUGIN,
        "GATEWAYS": {},
        "STORE": "paper-heron",
        "SALEOR": {saleor.api_url: {"store": "paper-heron"}},
    }
    assert [found.id for found in run_checks() if str(found.id).startswith("refund_plugin.E")] == []
    publish_policy(store=ensure_default_store())  # `migrate` made the row, and an editor was early
    requests.get(f"{live_server.url}/refunds/saleor/manifest.json", timeout=WARM_SECONDS)
    app = saleor.install(f"{live_server.url}/refunds/saleor/manifest.json")
    staff = saleor.add_user("sam@shop.example", staff_permissions=["MANAGE_ORDERS", "HANDLE_PAYMENTS"])
    world = World(saleor, SandboxServer(), app, live_server.url, staff)  # which is never started: nothing is paid over it
    world.sell("18.20", ours=False)

    found = client.post("/refunds/?order=1042", {"number": "1042", "email": EMAIL})
    assert found.status_code == 302
    assert "18.20" in client.get(found["Location"]).content.decode()
