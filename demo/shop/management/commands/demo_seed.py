"""`demo/manage.py demo_seed`: fill the shop. Running it again makes only what is missing."""

from __future__ import annotations

from django.core.management.base import BaseCommand

from demo.shop.seed.pages import seed_address, seed_pages
from demo.shop.seed.people import seed_people
from demo.shop.seed.policy import seed_policy
from demo.shop.seed.purchases import seed_purchases
from demo.shop.seed.requests import seed_requests
from refund_plugin import clock


class Command(BaseCommand):
    """Fill the demo shop; the sandbox payment server must be running."""

    help = "Fill the demo shop; makes only what is missing. The sandbox must be running. Example: demo/manage.py demo_seed"

    def handle(self, *args: object, **options: object) -> None:
        """Run every part in the order they need each other."""
        now = clock.now()
        users = seed_people()
        home = seed_pages()
        seed_address()
        seed_policy(home=home, editor=users["editor"], now=now)
        purchases = seed_purchases(customer=users["customer"], now=now)
        requests = seed_requests(now=now)
        self.stdout.write(f"{len(users)} users, {purchases} new purchases, {requests} new requests.")
