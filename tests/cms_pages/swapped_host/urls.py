"""The admin, the refund plugin and the pages."""

from django.urls import include, path
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls

urlpatterns = [
    path("admin/", include(wagtailadmin_urls)),
    path("refunds/", include("refund_plugin.urls")),
    path("", include(wagtail_urls)),
]
