"""A request's credit notes for the customer: only by the link of that very request."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.ledger.models import CreditNote
from refund_plugin.refunds.tracking import tracking_token
from tests.factories import MEMORY, make_purchase, publish_policy
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_paid(settings):
    """A request whose money has gone."""
    settings.REFUND_PLUGIN = {**MEMORY, "BASE_TEMPLATE": settings.REFUND_PLUGIN["BASE_TEMPLATE"]}
    ensure_accounts()
    publish_policy()
    request = ask(make_purchase())
    drive_refunds()
    while deliver_due():
        pass
    return request


def test_the_tracking_page_leads_to_the_document_and_names_the_day_of_arrival(request_paid):
    note = CreditNote.objects.get()
    token = tracking_token(request_paid)
    link = reverse("refund_plugin:track_document", args=[token, note.pk])
    page = Client().get(reverse("refund_plugin:track", args=[token])).content.decode()
    assert link in page
    assert "Usually on your account by" in page
    document = Client().get(link)
    assert document.status_code == 200
    assert "no-store" in document["Cache-Control"]
    for text in (note.label, "The Slow Web", "€17.01", "€1.19", "€18.20"):
        assert text in document.content.decode()


def test_a_forwarded_link_tells_nobody_the_customers_name_or_address(request_paid):
    customer = request_paid.customer
    customer.name = "Ada Lovelace"
    customer.save()
    note = CreditNote.objects.get()
    document = Client().get(reverse("refund_plugin:track_document", args=[tracking_token(request_paid), note.pk])).content.decode()
    assert "a•••@example.com" in document
    assert "Lovelace" not in document
    assert customer.email not in document


def test_another_requests_link_does_not_open_it(request_paid):
    note = CreditNote.objects.get()
    other = ask(make_purchase())
    assert Client().get(reverse("refund_plugin:track_document", args=[tracking_token(other), note.pk])).status_code == 404
    assert Client().get(reverse("refund_plugin:track_document", args=["forged", note.pk])).status_code == 404
