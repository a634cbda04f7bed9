"""Addresses that gateways call."""

from django.urls import path

from refund_plugin.webhooks.stripe import StripeWebhook

urlpatterns = [
    path("stripe/<slug:account>/", StripeWebhook.as_view(), name="stripe_webhook"),
]
