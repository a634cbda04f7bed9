"""The demo shop: an existing site that installs the plugin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from demo.sandbox.process import SandboxServer
from demo.shop.access import set_access
from demo.shop.models import ProductPage
from demo.shop.seed.purchases import ORDERS
from refund_plugin.events.services import deliver_due
from refund_plugin.orders.models import Purchase, PurchaseLine
from refund_plugin.orders.queries import usage_of
from refund_plugin.policies.consent import consents_of
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.stores.base import LineAccess

TEMPLATES = Path(__file__).resolve().parents[2] / "demo" / "shop" / "templates"
VISITOR = {"name": "Ada", "email": "ada@example.org", "country": "DE"}


def check_out(client: Client, sku: str, answers: dict[str, str]) -> HttpResponse:
    """Fill in the checkout as it is shown, with the wording that it carries."""
    page = client.get(f"/checkout/{sku}/").content.decode()
    [seen] = re.findall(r'name="consent-seen" value="([^"]+)"', page)
    return client.post(f"/checkout/{sku}/", answers | {"consent-seen": seen})


@pytest.fixture
def shop(db: None, sandbox: SandboxServer) -> SandboxServer:
    """A filled shop; returns the sandbox it pays into."""
    call_command("demo_seed", verbosity=0)
    return sandbox


@pytest.fixture
def customer(shop: SandboxServer) -> User:
    return User.objects.get(username="customer")


@pytest.fixture
def browser(customer: User) -> Client:
    """A browser in which the customer is logged in."""
    browser = Client()
    browser.force_login(customer)
    return browser


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_a_template_has_no_inline_script_or_style(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_filling_the_shop_again_adds_nothing(shop: SandboxServer) -> None:
    def counts() -> list[int]:
        return [model.objects.count() for model in (User, ProductPage, PolicyVersion, Purchase, RefundRequest)]

    before, payments = counts(), shop.get("state")["counts"]["payments"]
    call_command("demo_seed", verbosity=0)
    assert counts() == before
    assert shop.get("state")["counts"]["payments"] == payments


def test_every_seeded_order_is_judged_by_the_policy(browser: Client) -> None:
    assert Purchase.objects.count() == len(ORDERS)
    oldest = Purchase.objects.order_by("purchased_at").first()
    version = PolicyVersion.objects.get()
    assert oldest is not None
    assert version.effective_from < oldest.purchased_at
    assert version.founding_reason


@pytest.mark.parametrize("page", ["/", "/the-slow-web/", "/refund-policy/", "/checkout/EB-WINTER/", "/about/", "/login/", "/demo/mail/"])
def test_a_visitor_reads_the_page_with_the_policy_in_the_footer(shop: SandboxServer, page: str) -> None:
    answer = Client().get(page)
    assert answer.status_code == 200
    assert 'class="refund-summary"' in answer.content.decode()


def test_a_final_sale_says_so_before_the_purchase(shop: SandboxServer) -> None:
    assert "Bundles in the final sale" in Client().get("/checkout/EB-WINTER/").content.decode()


def test_buying_takes_the_payment_and_records_the_purchase(shop: SandboxServer) -> None:
    answer = check_out(Client(), "EB-SLOWWEB", VISITOR)
    assert answer.status_code == 302
    purchase = Purchase.objects.get(customer__email="ada@example.org")
    payment = purchase.payments.get()
    taken = {intent["id"]: intent["amount"] for intent in shop.get("state")["payments"]}
    assert taken[payment.gateway_payment_id] == payment.captured_minor == 1820
    assert purchase.lines.get().tax_minor == 119


@pytest.mark.parametrize(("boxes", "proven"), [({"consent-begin": "on", "consent-acknowledge": "on"}, True), ({}, False)])
def test_what_a_customer_agrees_to_at_the_checkout_is_proven_once_the_mail_has_gone(
    shop: SandboxServer, boxes: dict[str, str], proven: bool
) -> None:
    check_out(Client(), "EB-SLOWWEB", VISITOR | boxes)
    line = PurchaseLine.objects.get(purchase__customer__email="ada@example.org")
    assert consents_of([line.pk]) == {line.pk: False}
    deliver_due(limit=1000)
    assert consents_of([line.pk]) == {line.pk: proven}


def test_a_customer_cannot_buy_their_way_into_someone_elses_purchases(browser: Client, customer: User) -> None:
    check_out(browser, "EB-SLOWWEB", VISITOR | {"email": "mira@example.org"})
    bought = Purchase.objects.latest("id")
    assert (bought.user, bought.customer.email) == (customer, customer.email)
    assert not Purchase.objects.filter(customer__email="mira@example.org", user=customer).exists()


def test_a_download_and_a_lesson_are_recorded_once_each(browser: Client) -> None:
    book = PurchaseLine.objects.get(purchase__number="1043")
    course = PurchaseLine.objects.get(purchase__number="1042", sku="CR-PHOTO")
    assert browser.post(reverse("library-open", args=[book.pk]))["Content-Disposition"] == 'attachment; filename="eb-margin.txt"'
    browser.post(reverse("library-open", args=[course.pk]))
    usage = usage_of([book, course])
    assert usage[book.pk].downloads == 1
    assert usage[course.pk].units_used == 4


def test_reading_the_library_records_nothing(browser: Client) -> None:
    book = PurchaseLine.objects.get(purchase__number="1043")
    assert browser.get(reverse("library-open", args=[book.pk])).status_code == 405
    assert "Letters in the Margin" in browser.get("/library/").content.decode()
    assert usage_of([book])[book.pk].downloads == 0


def test_what_was_given_back_or_is_someone_elses_cannot_be_opened(browser: Client) -> None:
    deliver_due(limit=1000)
    for number in ("1060", "1052"):  # given back; another customer's
        line = PurchaseLine.objects.get(purchase__number=number)
        assert browser.post(reverse("library-open", args=[line.pk])).status_code == 404
        assert usage_of([line])[line.pk].last_access_at is None


def test_a_copy_is_locked_as_the_refund_plugin_says_and_unlocked_again(browser: Client) -> None:
    book = PurchaseLine.objects.get(purchase__number="1043")
    about = {"store": "s", "purchase_number": "1043", "line_id": book.pk, "sku": book.sku, "name": book.name, "quantity": 1}
    open_it = reverse("library-open", args=[book.pk])
    for version, (frozen, revoked, words) in enumerate([(1, 0, "refund under way"), (0, 1, "given back")], start=1):
        set_access(LineAccess(**about, frozen=frozen, revoked=revoked, version=version))
        assert browser.post(open_it).status_code == 404
        library = browser.get("/library/").content.decode()
        assert words in library
        assert open_it not in library
    set_access(LineAccess(**about, frozen=0, revoked=0, version=3))
    assert browser.post(open_it).status_code == 200


@pytest.fixture
def outbox(settings: object, tmp_path: Path) -> None:
    settings.STATE = tmp_path  # type: ignore[attr-defined]
    settings.EMAIL_BACKEND = "demo.shop.mail.OutboxBackend"  # type: ignore[attr-defined]


def test_a_sent_mail_can_be_read_in_the_outbox(db: None, outbox: None) -> None:
    mail = EmailMultiAlternatives("Grüße", "Text: https://shop.example/x", "a@shop.example", ["b@example.org"])
    mail.attach_alternative("<p>As <b>HTML</b></p>", "text/html")
    mail.send()
    listing = Client().get("/demo/mail/").content.decode()
    assert "Grüße" in listing
    address = re.search(r'href="(/demo/mail/[^"]+/)"', listing)
    assert address is not None
    assert '<a href="https://shop.example/x"' in Client().get(address[1]).content.decode()
    html = Client().get(f"{address[1]}html/")
    assert "<b>HTML</b>" in html.content.decode()
    assert "default-src 'none'" in html["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["unknown", "..%2Fsecrets", "1-ab"])
def test_an_unknown_mail_is_not_found(db: None, outbox: None, name: str) -> None:
    assert Client().get(f"/demo/mail/{name}/").status_code == 404
