"""A store with any number of orders that keeps none of them: each page is made when it is asked for. Prints its port."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOMENT = "2026-01-05T10:00:00+00:00"


def money(amount: float) -> dict[str, Any]:
    """Write an amount as Saleor does."""
    return {"amount": amount, "currency": "EUR"}


def taxed(gross: float, net: float) -> dict[str, Any]:
    """Write an amount with and without tax."""
    return {"gross": money(gross), "net": money(net)}


def line(number: int, place: int) -> dict[str, Any]:
    """Make a line of an e-book."""
    product = {
        "id": f"product-{place}",
        "slug": f"book-{place}",
        "metafields": {},
        "category": {"slug": "books"},
        "collections": [{"slug": "new"}],
        "productType": {"id": "type", "slug": "ebook", "isShippingRequired": False, "metafields": {}},
    }
    return {
        "id": f"line-{number}-{place}",
        "productName": f"Book {place}",
        "variantName": "PDF",
        "productSku": f"BOOK-{place}",
        "isShippingRequired": False,
        "isGift": False,
        "quantity": 1,
        "quantityFulfilled": 1,
        "taxRate": 0.2,
        "totalPrice": taxed(12.0, 10.0),
        "undiscountedTotalPrice": taxed(12.0, 10.0),
        "metafields": {},
        "privateMetafields": {},
        "variant": {"id": f"variant-{place}", "metafields": {}, "product": product},
    }


def transaction(number: int) -> dict[str, Any]:
    """Make the payment of an order, at another payment app."""
    charged = {
        "id": f"event-{number}",
        "createdAt": MOMENT,
        "type": "CHARGE_SUCCESS",
        "pspReference": f"psp-{number}",
        "amount": money(24.0),
        "message": "",
        "externalUrl": "",
        "idempotencyKey": None,
    }
    nothing = ("authorizedAmount", "chargePendingAmount", "refundedAmount", "refundPendingAmount", "canceledAmount", "cancelPendingAmount")
    return {
        "id": f"transaction-{number}",
        "order": {"id": f"order-{number}"},
        "createdAt": MOMENT,
        "modifiedAt": MOMENT,
        "name": "Card",
        "message": "",
        "pspReference": f"psp-{number}",
        "externalUrl": "",
        "actions": ["REFUND"],
        "chargedAmount": money(24.0),
        **{name: money(0.0) for name in nothing},
        "createdBy": {"__typename": "App", "id": "other"},
        "paymentMethodDetails": {"name": "card", "brand": "visa", "lastDigits": "4242"},
        "events": [charged],
    }


def order(number: int) -> dict[str, Any]:
    """Make an order of two e-books."""
    return {
        "id": f"order-{number}",
        "number": str(number),
        "created": MOMENT,
        "updatedAt": MOMENT,
        "status": "FULFILLED",
        "origin": "CHECKOUT",
        "chargeStatus": "FULL",
        "userEmail": f"customer{number % 5000}@example.com",
        "user": {"id": f"user-{number % 5000}"},
        "channel": {"id": "channel", "slug": "default-channel", "currencyCode": "EUR"},
        "languageCodeEnum": "EN",
        "billingAddress": {"firstName": "Ada", "lastName": "Lovelace", "companyName": "", "country": {"code": "DE"}},
        "shippingAddress": None,
        "total": taxed(24.0, 20.0),
        "shippingPrice": taxed(0.0, 0.0),
        "totalCharged": money(24.0),
        "totalRefunded": money(0.0),
        "totalGrantedRefund": money(0.0),
        "totalRefundPending": money(0.0),
        "voucherCode": None,
        "giftCards": [],
        "discounts": [],
        "externalReference": None,
        "metafields": {},
        "privateMetafields": {},
        "lines": [line(number, 1), line(number, 2)],
        "transactions": [transaction(number)],
        "grantedRefunds": [],
    }


class Handler(BaseHTTPRequestHandler):
    """Answers a page of orders, whatever is asked."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        """Answer the page behind `after`, which is how many orders came before."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["variables"]
        start = int(asked.get("after") or 0)
        end = min(start + asked["first"], self.count)
        info = {"hasNextPage": end < self.count, "endCursor": str(end)}
        nodes = [{"node": order(self.count - number)} for number in range(start, end)]
        body = json.dumps({"data": {"orders": {"totalCount": self.count, "pageInfo": info, "edges": nodes}}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Handler.count = int(sys.argv[1])
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
