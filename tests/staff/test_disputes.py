"""The pages of disputes: what the bank wants, the refund that settles an inquiry, and the evidence to hand in."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import customer_actor
from refund_plugin.gateways.facts import WebhookDispute, WebhookWarning
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.orders.models import AccessEvent, AccessKind
from refund_plugin.refunds.disputes import record_dispute, record_warning
from refund_plugin.refunds.models import Dispute, Refund, RefundRequest
from refund_plugin.refunds.services import request_refund
from tests.factories import EBOOK, LICENCE, line_with, make_purchase

pytestmark = pytest.mark.django_db


def dispute_of(purchase, status="needs_response", *, name="dp_1", number=1) -> Dispute:
    told = WebhookDispute(
        event_id=f"evt_{name}_{number}",
        event_type="charge.dispute.created",
        livemode=False,
        created=clock.now() + timedelta(seconds=number),
        dispute_id=name,
        gateway_payment_id=purchase.payments.first().gateway_payment_id,
        status=status,
        amount=Money(1820, "EUR"),
        reason="product_not_received",
        is_inquiry=status.startswith("warning_"),
        is_open=status in ("warning_needs_response", "needs_response"),
        is_won=status == "won",
        is_lost=status == "lost",
        evidence_due=clock.now() + timedelta(days=7),
    )
    found = record_dispute(account=default_account(), told=told, now=clock.now())
    assert found is not None
    return found


def url(name, *args):
    return reverse(f"refund_disputes:{name}", args=args)


@pytest.fixture
def purchase(policy):
    return make_purchase(lines=[line_with(EBOOK, name="<b>Slow</b> Web"), LICENCE], purchased_at=clock.now() - timedelta(days=6))


def test_the_list_names_order_kind_amount_and_deadline_in_a_fixed_number_of_statements(purchase, staff, django_assert_max_num_queries):
    dispute_of(purchase)
    first = staff.get(url("index"))
    for number in range(5):
        dispute_of(make_purchase(), name=f"dp_more_{number}")
    with django_assert_max_num_queries(25):
        page = staff.get(url("index")).content.decode()

    assert purchase.number in first.content.decode()
    assert "product_not_received" in page and "€18.20" in page
    assert str((clock.now() + timedelta(days=7)).year) in page  # the day that evidence is due, not how long ago it was
    assert staff.get(url("index"), {"q": "dp_more_3"}).context["object_list"].count() == 1


@pytest.mark.parametrize(
    ("status", "sentence", "form"),
    [
        ("needs_response", "Do not refund it as well", False),
        ("warning_needs_response", "A full refund settles it", True),
        ("won", "The bank decided for us", False),
        ("lost", "keeps the money", False),
        ("warning_closed", "No money was taken", False),
    ],
)
def test_the_page_says_how_it_stands_and_offers_the_refund_only_where_it_settles_it(purchase, staff, status, sentence, form):
    page = staff.get(url("dispute", dispute_of(purchase, status).pk))

    assert sentence in page.content.decode()
    assert (page.context["form"] is not None) is form


def test_the_refund_in_full_leads_to_its_case(purchase, staff):
    told = WebhookWarning(
        event_id="evt_w",
        event_type="radar.early_fraud_warning.created",
        livemode=False,
        created=clock.now(),
        warning_id="issfr_1",
        gateway_payment_id=purchase.payments.get().gateway_payment_id,
        fraud_type="misc",
        actionable=True,
    )
    warning = record_warning(account=default_account(), told=told, now=clock.now())

    response = staff.post(url("dispute", warning.pk), {"reason": "The bank warned us."})

    request = RefundRequest.objects.get()
    assert response.url == reverse("refund_cases:case", args=[request.pk])
    assert (request.state, Refund.objects.get().amount_minor) == ("approved", 4220)


def test_the_refund_in_full_pressed_a_second_time_says_why_not_and_pays_once(purchase, staff):
    page = url("dispute", dispute_of(purchase, "warning_needs_response").pk)
    staff.post(page, {"reason": "The bank asked."})

    again = staff.post(page, {"reason": "The bank asked."})

    [problem] = again.context["form"].non_field_errors()
    assert again.status_code == 200 and problem in again.content.decode()
    assert RefundRequest.objects.count() == Refund.objects.count() == 1


def test_without_a_reason_nothing_is_refunded(purchase, staff):
    page = staff.post(url("dispute", dispute_of(purchase, "warning_needs_response").pk), {"reason": ""})

    assert page.context["form"].errors and not RefundRequest.objects.exists()


@pytest.mark.parametrize("permissions", [(), ("approve_refunds",)], ids=["none", "approve only"])
def test_no_page_opens_without_the_permission_to_see_cases(purchase, make_user, sign_in, permissions):
    dispute = dispute_of(purchase, "warning_needs_response")
    client = sign_in(make_user(permissions=permissions))

    for address in (url("index"), url("dispute", dispute.pk), url("evidence", dispute.pk)):
        assert client.get(address).status_code == 302
    client.post(url("dispute", dispute.pk), {"reason": "Why."})
    assert not RefundRequest.objects.exists()


def test_seeing_is_not_refunding(purchase, make_user, sign_in):
    dispute = dispute_of(purchase, "warning_needs_response")
    client = sign_in(make_user(permissions=["view_cases"]))

    page = client.get(url("dispute", dispute.pk))
    client.post(url("dispute", dispute.pk), {"reason": "Why."})

    assert page.context["form"] is None and "not refund" in page.content.decode()
    assert not RefundRequest.objects.exists()


class TestEvidence:
    """One archive with everything a bank asks for, safe to open."""

    @pytest.fixture
    def archive(self, purchase, staff):
        line = purchase.lines.first()
        AccessEvent.objects.create(
            line=line, kind=AccessKind.DOWNLOADED, source_id="d1", occurred_at=purchase.purchased_at + timedelta(hours=1)
        )
        request_refund(
            purchase_id=purchase.pk,
            lines={line.pk: 1},
            reason="defective",
            message="<script>alert(1)</script> It does not open.",
            by=customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id),
            submission_key="k",
            now=clock.now(),
        )
        response = staff.get(url("evidence", dispute_of(purchase).pk))
        assert response.status_code == 200
        assert response["Content-Disposition"] == 'attachment; filename="evidence-dp_1.zip"'
        assert response["X-Content-Type-Options"] == "nosniff" and "no-store" in response["Cache-Control"]
        return zipfile.ZipFile(io.BytesIO(response.content))

    def test_it_holds_terms_purchase_use_and_requests(self, archive, purchase):
        told = json.loads(archive.read("evidence.json"))

        assert told["purchase"]["number"] == purchase.number
        assert told["purchase"]["lines"][0]["paid"] == {"minor": 1820, "currency": "EUR", "text": "€18.20"}
        assert told["policy"]["version"] == 1 and len(told["policy"]["clauses"]) == 4 and len(told["policy"]["hash"]) == 64
        assert [event["what"] for event in told["access"]] == ["downloaded"]
        assert told["requests"][0]["message"].endswith("It does not open.")
        assert told["dispute"]["amount"]["minor"] == 1820

    def test_what_people_typed_is_text_and_nothing_is_loaded(self, archive):
        page = archive.read("evidence.html").decode()

        assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "&lt;b&gt;Slow&lt;/b&gt; Web" in page
        assert "default-src 'none'" in page and "src=" not in page.replace("default-src=", "") and "http" not in page.split("<body>")[1]

    def test_a_purchase_without_policy_or_use_says_so(self, purchase, staff):
        from refund_plugin.policies.models import Policy

        Policy.objects.update(store=None)
        response = staff.get(url("evidence", dispute_of(purchase).pk))
        page = zipfile.ZipFile(io.BytesIO(response.content)).read("evidence.html").decode()

        assert "None were published." in page and "No use is recorded." in page and "No refund was asked for." in page
