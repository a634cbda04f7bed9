"""Filling a stand-in's world: channels, people, orders with their lines, reasons and gift cards."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.saleor.standin.clock import Clock
from tests.saleor.standin.transactions import update_order_totals
from tests.saleor.standin.world import GiftCard, Money, Order, OrderLine, Page, PageType, User, World, global_id


class Filling:
    """What a test puts into the shop before anything happens."""

    clock: Clock
    world: World

    def add_channel(self, slug: str, currency: str) -> dict[str, Any]:
        """Open a channel."""
        channel = {"__typename": "Channel", "id": self.world.next_id("Channel"), "slug": slug, "name": slug, "isActive": True}
        channel |= {"currencyCode": currency, "countries": []}
        self.world.channels[slug] = channel
        return channel

    def add_user(self, email: str, *, staff_permissions: list[str] | None = None, **values: Any) -> User:
        """Add a customer, or a member of the staff with permissions."""
        user = User(
            id=self.world.next_id("User"),
            email=email,
            is_staff=staff_permissions is not None,
            permissions=staff_permissions or [],
            date_joined=self.clock.now(),
            **values,
        )
        self.world.users[user.id] = user
        return user

    def add_order(
        self,
        *,
        lines: list[dict[str, Any]] | None = None,
        email: str = "customer@example.com",
        user: User | None = None,
        channel: str = "default-channel",
        created: datetime | None = None,
        number: str = "",
        **values: Any,
    ) -> Order:
        """Place an order, not paid yet. A line: `name, sku, price, quantity, tax_rate, shipping, undiscounted, downloads, type, …`."""
        now = created or self.clock.now()
        place = self.world.channels[channel]
        order = Order(
            id=global_id("Order", uuid.uuid4()),
            number=number or str(len(self.world.orders) + 1),
            currency=place["currencyCode"],
            user_email=email,
            user=user,
            created=now,
            updated_at=now,
            channel=place,
            **values,
        )
        for each in lines or [{}]:
            self._add_line(order, **each)
        with self.world.lock:
            self.world.orders[order.id] = order
            update_order_totals(self.world, order)
            order.updated_at = now
        return order

    def _add_line(
        self,
        order: Order,
        *,
        name: str = "E-book",
        variant: str = "PDF",
        sku: str = "EBOOK-PDF",
        price: str = "30.00",
        undiscounted: str = "",
        quantity: int = 1,
        tax_rate: str = "0",
        shipping: bool = False,
        type: str = "digital",
        category: str = "books",
        collections: tuple[str, ...] = (),
        downloads: int | None = None,
        metadata: dict[str, str] | None = None,
        private_metadata: dict[str, str] | None = None,
        product_metadata: dict[str, str] | None = None,
    ) -> OrderLine:
        line = OrderLine(
            id=global_id("OrderLine", uuid.uuid4()),
            order=order,
            product_name=name,
            variant_name=variant,
            product_sku=sku,
            quantity=quantity,
            unit_gross=Decimal(price),
            undiscounted_unit_gross=Decimal(undiscounted or price),
            tax_rate=Decimal(tax_rate),
            is_shipping_required=shipping,
            variant=self._variant(name, variant, sku, type, shipping, category, collections, product_metadata or {}),
            downloads=downloads,
            metadata=metadata or {},
            private_metadata=private_metadata or {},
        )
        order.lines.append(line)
        self.world.order_lines[line.id] = line
        return line

    def _variant(
        self,
        name: str,
        variant: str,
        sku: str,
        type_slug: str,
        shipping: bool,
        category: str,
        collections: tuple[str, ...],
        metadata: dict[str, str],
    ) -> dict[str, Any]:
        def named(type_name: str, slug: str, **more: Any) -> dict[str, Any]:
            return {"__typename": type_name, "id": global_id(type_name, slug), "slug": slug, "name": slug, "metadata": {}, **more}

        product = named("Product", name.lower().replace(" ", "-"))
        product["metadata"] = metadata
        product |= {
            "name": name,
            "category": named("Category", category) if category else None,
            "collections": [named("Collection", slug) for slug in collections],
            "productType": named("ProductType", type_slug, isShippingRequired=shipping, isDigital=not shipping, kind="NORMAL"),
        }
        return {
            "__typename": "ProductVariant",
            "id": global_id("ProductVariant", sku),
            "name": variant,
            "sku": sku,
            "product": product,
            "metadata": {},
        }

    def add_reasons(self, titles: list[str], *, slug: str = "refund-reasons") -> PageType:
        """Make the kind of pages that are reasons, with its pages, and choose it in the settings."""
        page_type = PageType(id=self.world.next_id("PageType"), name="Refund reasons", slug=slug)
        self.world.page_types[page_type.id] = page_type
        for title in titles:
            page = Page(id=self.world.next_id("Page"), title=title, slug=title.lower().replace(" ", "-"), page_type=page_type)
            page.created = page.published_at = self.clock.now()
            self.world.pages[page.id] = page
        self.world.refund_reason_type = page_type
        return page_type

    def add_gift_card(self, order: Order, *, code: str, amount: str) -> GiftCard:
        """Say that a gift card was used for an order."""
        value = Money(amount=Decimal(amount), currency=order.currency)
        card = GiftCard(id=self.world.next_id("GiftCard"), code=code, initial=value, current=value, created=self.clock.now())
        self.world.gift_cards[card.id] = card
        order.gift_cards.append(card)
        return card
