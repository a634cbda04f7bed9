"""Addresses of the shop."""

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path, re_path
from django.views.static import serve
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls
from wagtail.documents import urls as wagtaildocs_urls

from demo.shop import views

urlpatterns = [
    path("admin/", include(wagtailadmin_urls)),
    path("documents/", include(wagtaildocs_urls)),
    path("login/", LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("library/", views.library, name="library"),
    path("library/<int:line_id>/open/", views.open_item, name="library-open"),
    path("checkout/<str:sku>/", views.checkout, name="checkout"),
    path("checkout/<str:number>/thanks/", views.thanks, name="checkout-thanks"),
    path("demo/mail/", views.mail_list, name="mail-list"),
    path("demo/mail/<str:name>/", views.mail_letter, name="mail-letter"),
    path("demo/mail/<str:name>/html/", views.mail_html, name="mail-html"),
    re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
]

# ---- The refund plugin: everything that installing it adds to the addresses of a site ------------------------------
urlpatterns += [path("refunds/", include("refund_plugin.urls"))]
# ---- end of the refund plugin --------------------------------------------------------------------------------------

urlpatterns += [path("", include(wagtail_urls))]
