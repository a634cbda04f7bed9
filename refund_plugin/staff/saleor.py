"""The page "Saleor": which Saleors may install the App, which have, and whether all is well there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin

from refund_plugin.conf import settings
from refund_plugin.events.models import Heartbeat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.models import SalesBackfill
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import normalised
from refund_plugin.staff.money import MoneyMixin


@dataclass(frozen=True, slots=True)
class Installed:
    """One installation with what stands beside it; `seen_at` is when all was well there last, None when it never was."""

    row: SaleorInstallation
    is_named: bool
    account: GatewayAccount | None
    backfill: SalesBackfill | None
    seen_at: datetime | None

    @property
    def in_use(self) -> bool:
        """Whether refunds are sent."""
        return self.row.is_active and self.is_named and self.account is not None and not self.account.on_hold


class SaleorView(MoneyMixin, WagtailAdminTemplateMixin, TemplateView):
    """Everything on one page."""

    template_name = "refund_plugin/staff/saleor.html"
    page_title = gettext_lazy("Saleor")
    header_icon = "link"

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, Saleor."""
        return [*self.breadcrumbs_items, {"url": "", "label": _("Saleor")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        installed = installations()
        known = {one.row.api_url for one in installed}
        waiting = [address for address in map(normalised, settings().saleor) if address and address not in known]
        return super().get_context_data(
            installed=installed, waiting=waiting, manifest_url=_manifest_url(self.request), formatter=self.formatter, **kwargs
        )


def installations() -> list[Installed]:
    """Return all installations, those in use first; four queries, however many there are."""
    rows = list(SaleorInstallation.objects.order_by("-is_active", "slug"))
    slugs = [row.slug for row in rows]
    accounts = {account.slug: account for account in GatewayAccount.objects.filter(slug__in=slugs)}
    backfills = {read.account_id: read for read in SalesBackfill.objects.filter(account__in=accounts.values())}
    seen = dict(Heartbeat.objects.filter(name__in=[f"saleor:{slug}" for slug in slugs]).values_list("name", "beat_at"))
    named = {normalised(address) for address in settings().saleor}
    return [
        Installed(
            row=row,
            is_named=normalised(row.api_url) in named,
            account=account,
            backfill=backfills.get(account.pk) if account else None,
            seen_at=seen.get(f"saleor:{row.slug}"),
        )
        for row in rows
        for account in [accounts.get(row.slug)]
    ]


def _manifest_url(request: HttpRequest) -> str:
    """Return what a merchant gives to Saleor's dashboard; "" while the extra `saleor` is not installed."""
    try:
        path = reverse("refund_plugin:saleor_manifest")
    except NoReverseMatch:
        return ""
    given = next((str(options["app_url"]) for options in settings().saleor.values() if options.get("app_url")), settings().public_url)
    return f"{given.rstrip('/')}{path}" if given else request.build_absolute_uri(path)
