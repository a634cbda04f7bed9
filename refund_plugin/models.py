"""Django looks here for models; each lives in its room."""

from refund_plugin.api.models import ServiceToken
from refund_plugin.events.models import Delivery, Event, Heartbeat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.limits.models import Counter
from refund_plugin.messaging.models import Message
from refund_plugin.orders.models import AccessEvent, Customer, Payment, Purchase, PurchaseLine
from refund_plugin.policies.models import Policy, PolicyText, PolicyVersion
from refund_plugin.refunds.models import Allocation, Attempt, Decision, Refund, RefundRequest, RequestLine
from refund_plugin.stores.models import Store
from refund_plugin.webhooks.models import WebhookEvent

__all__ = [
    "AccessEvent",
    "Allocation",
    "Attempt",
    "Counter",
    "Customer",
    "Decision",
    "Delivery",
    "Event",
    "GatewayAccount",
    "Heartbeat",
    "Message",
    "Payment",
    "Policy",
    "PolicyText",
    "PolicyVersion",
    "Purchase",
    "PurchaseLine",
    "Refund",
    "RefundRequest",
    "RequestLine",
    "ServiceToken",
    "Store",
    "WebhookEvent",
]
