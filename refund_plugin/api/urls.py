"""`/refunds/graphql/`."""

from django.urls import path

from refund_plugin.api.view import graphql_view

urlpatterns = [path("graphql/", graphql_view, name="graphql")]
