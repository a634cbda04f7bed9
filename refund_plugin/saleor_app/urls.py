"""Addresses that Saleor and its dashboard call."""

from django.urls import path

from refund_plugin.saleor_app.handshake import Register
from refund_plugin.saleor_app.manifest import manifest
from refund_plugin.saleor_app.webhooks import SaleorWebhooks

urlpatterns = [
    path("manifest.json", manifest, name="saleor_manifest"),
    path("register/", Register.as_view(), name="saleor_register"),
    path("webhooks/", SaleorWebhooks.as_view(), name="saleor_webhooks"),
]
