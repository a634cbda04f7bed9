"""`demo/manage.py demo_seed`: fill the shop. Running it again makes only what is missing."""

from __future__ import annotations

from django.core.management.base import BaseCommand

from demo.shop.seed.pages import seed_address, seed_pages
from demo.shop.seed.people import seed_people
from demo.shop.seed.purchases import seed_purchases
from refund_plugin import clock


class Command(BaseCommand):
    """Fill the demo shop; the sandbox payment server must be running."""

    help = "Fill the demo shop with users, pages and purchases. Needs the running sandbox. Example: demo/manage.py demo_seed"

    def handle(self, *args: object, **options: object) -> None:
        """Run every part in the order they need each other."""
        now = clock.now()
        users = seed_people()
        seed_pages()
        seed_address()
        made = seed_purchases(customer=users["customer"], now=now)
        self.stdout.write(f"{len(users)} users, {made} new purchases.")
