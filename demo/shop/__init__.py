"""Paper Heron: a small existing Wagtail shop of digital goods that installs the refund plugin."""

from demo.shop.celery import app as celery_app

__all__ = ["celery_app"]
