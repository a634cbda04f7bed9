"""Django looks here for models; each lives in its room."""

from refund_plugin.api.models import ServiceToken
from refund_plugin.events.models import Delivery, Event, Heartbeat
from refund_plugin.gateways.models import GatewayAccount, RateSlot
from refund_plugin.limits.models import Counter
from refund_plugin.messaging.models import Message
from refund_plugin.orders.models import AccessCorrection, AccessEvent, Customer, Payment, Purchase, PurchaseLine, SalesBackfill
from refund_plugin.policies.consent_models import Consent, ConsentConfirmation
from refund_plugin.policies.models import Policy, PolicyText, PolicyVersion
from refund_plugin.refunds.access.models import AccessState
from refund_plugin.refunds.brake.models import AutomaticMoney
from refund_plugin.refunds.incentives.models import Incentive
from refund_plugin.refunds.ledger.models import CreditNote, CreditNoteSeries, LedgerEntry
from refund_plugin.refunds.models import Alert, Allocation, Attempt, Decision, Dispute, Refund, RefundRequest, RequestLine
from refund_plugin.refunds.reconcile.models import Finding, ReconciliationRun, SelfTest
from refund_plugin.refunds.replay.models import ReplayChange, ReplayDenied, ReplayRun, Shadow, ShadowVerdict
from refund_plugin.refunds.subscriptions.models import InvoiceNote, SubscriptionEnd
from refund_plugin.refunds.telling.models import StoreAsk, StoreTelling
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.stores.models import Store
from refund_plugin.webhooks.models import WebhookEvent

__all__ = [
    "AccessCorrection",
    "AccessEvent",
    "AccessState",
    "Alert",
    "Allocation",
    "Attempt",
    "AutomaticMoney",
    "Consent",
    "ConsentConfirmation",
    "Counter",
    "CreditNote",
    "CreditNoteSeries",
    "Customer",
    "Decision",
    "Delivery",
    "Dispute",
    "Event",
    "Finding",
    "GatewayAccount",
    "Heartbeat",
    "Incentive",
    "InvoiceNote",
    "LedgerEntry",
    "Message",
    "Payment",
    "Policy",
    "PolicyText",
    "PolicyVersion",
    "Purchase",
    "PurchaseLine",
    "RateSlot",
    "ReconciliationRun",
    "Refund",
    "RefundRequest",
    "ReplayChange",
    "ReplayDenied",
    "ReplayRun",
    "RequestLine",
    "SaleorInstallation",
    "SalesBackfill",
    "SelfTest",
    "ServiceToken",
    "Shadow",
    "ShadowVerdict",
    "Store",
    "StoreAsk",
    "StoreTelling",
    "SubscriptionEnd",
    "WebhookEvent",
]
