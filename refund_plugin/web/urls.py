"""Addresses of the customer pages; `refund_plugin/urls.py` includes them under its namespace."""

from django.urls import path

from refund_plugin.web import ask, download, health, mine, order, purchases, track, withdraw

urlpatterns = [
    path("", ask.ask, name="ask"),
    path("order/<str:ref>/", order.purchase, name="purchase"),
    path("track/<str:token>/", track.track, name="track"),
    path("track/<str:token>/status/", track.status, name="track_status"),
    path("track/<str:token>/cancel/", track.cancel, name="track_cancel"),
    path("track/<str:token>/answer/", track.answer, name="track_answer"),
    path("track/<str:token>/documents/<int:pk>/", track.document, name="track_document"),
    path("download/<str:token>/", download.download, name="download"),
    path("health/", health.health, name="health"),
    path("withdraw/", withdraw.start, name="withdraw_start"),
    path("withdraw/receipt/<str:token>/", withdraw.receipt, name="withdraw_receipt"),
    path("withdraw/<str:ref>/", withdraw.withdraw, name="withdraw"),
    path("mine/", mine.mine, name="mine"),
    path("purchases/", purchases.purchases, name="purchases"),
    path("purchases/sent/", purchases.sent, name="purchases_sent"),
    path("purchases/<str:token>/", purchases.purchase_list, name="purchase_list"),
    path("purchases/<str:token>/<str:ref>/", order.purchase, name="purchase_from_list"),
    path("purchases/<str:token>/<str:ref>/withdraw/", withdraw.withdraw, name="withdraw_from_list"),
]
