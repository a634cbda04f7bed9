"""Everything under the path a merchant chooses: `path("refunds/", include("refund_plugin.urls"))`."""

from importlib.util import find_spec

from django.urls import include, path

app_name = "refund_plugin"

urlpatterns = [
    path("", include("refund_plugin.web.urls")),
    path("webhooks/", include("refund_plugin.webhooks.urls")),
]

if find_spec("strawberry_django") is not None:  # the extra `graphql`
    urlpatterns.append(path("", include("refund_plugin.api.urls")))

if all(find_spec(name) is not None for name in ("gql", "jwt", "cryptography")):  # the extra `saleor`
    urlpatterns.append(path("saleor/", include("refund_plugin.saleor_app.urls")))
