"""Addresses that Saleor and its dashboard call."""

from django.urls import path

from refund_plugin.saleor_app.desk import case, desk
from refund_plugin.saleor_app.handshake import Register
from refund_plugin.saleor_app.manifest import manifest
from refund_plugin.saleor_app.transactions import TransactionRequested
from refund_plugin.saleor_app.webhooks import SaleorWebhooks
from refund_plugin.saleor_app.widgets import customer_widget, order_widget

urlpatterns = [
    path("manifest.json", manifest, name="saleor_manifest"),
    path("register/", Register.as_view(), name="saleor_register"),
    path("webhooks/", SaleorWebhooks.as_view(), name="saleor_webhooks"),
    path("transactions/", TransactionRequested.as_view(), name="saleor_transactions"),
    path("widgets/order/", order_widget, name="saleor_order_widget"),
    path("widgets/customer/", customer_widget, name="saleor_customer_widget"),
    path("app/", desk, name="saleor_app"),
    path("app/case/", case, name="saleor_case"),
]
