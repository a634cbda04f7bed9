"""Settings of a site with its own page model."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, REFUND_PLUGIN

INSTALLED_APPS = [
    *(app for app in INSTALLED_APPS if app != "demo.shop"),
    "wagtail.test.basepage",
    "tests.cms_pages.swapped_host",
]
WAGTAIL_PAGE_MODEL = "basepage.BasePage"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ROOT_URLCONF = "tests.cms_pages.swapped_host.urls"

REFUND_PLUGIN = {**REFUND_PLUGIN, "ACCESS_HANDLER": ""}  # the shop that would be told is not installed here
