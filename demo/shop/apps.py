"""The shop as a Django app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Pages, library, checkout and outbox of the demo shop."""

    name = "demo.shop"
    label = "shop"
    verbose_name = "Paper Heron"
    default_auto_field = "django.db.models.BigAutoField"
