"""Refund reasons of a Saleor, matched with ours: pages of one page type that its refund settings name (since 3.22).

What belongs to what is kept on the row of the installation, so that a refund is granted with its reason without another call. Saleor
wants a reason of its staff; an App may leave it out, so a reason that is not matched keeps no refund from being granted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.text import slugify

from refund_plugin.saleor import credit
from refund_plugin.saleor.api import Caller
from refund_plugin.saleor.client import client_for
from refund_plugin.saleor.data import ReasonData, RefundReasons
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import allowed_options

KEPT = "refund_reasons"
PAGE_TYPE = "Refund reasons"
PREFIX = "refund-"
Wanted = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Matched:
    """What a Saleor's reasons are to ours.

    Attributes:
        page_type: its name; "" where Saleor has none: before 3.22, or nobody chose one.
        pages: the page of each of our reasons, by the reason.
        missing: our reasons without a page.
        others: titles of pages that are none of our reasons.
    """

    page_type: str
    pages: Mapping[str, ReasonData]
    missing: Sequence[str]
    others: Sequence[str]


def match_reasons(pages: Sequence[ReasonData], *, wanted: Wanted, chosen: Mapping[str, str]) -> dict[str, ReasonData]:
    """Return the page of each of our reasons: the one that the settings choose, else by its slug, else by its title.

    Args:
        wanted: our reasons, each with its titles in the languages of the site.
        chosen: slugs of pages, by our reason.
    """
    found: dict[str, ReasonData] = {}
    for reason, titles in wanted.items():
        slugs = (chosen.get(reason, ""), PREFIX + slugify(reason.replace("_", "-")), slugify(reason.replace("_", "-")))
        by_slug = {page.slug: page for page in pages}
        by_title = {page.title.strip().casefold(): page for page in pages}
        candidates = [by_slug.get(slug) for slug in slugs if slug] + [by_title.get(title.strip().casefold()) for title in titles]
        page = next((page for page in candidates if page is not None), None)
        if page is not None:
            found[reason] = page
    return found


def synchronise_reasons(*, slug: str, wanted: Wanted, now: datetime, create: bool = False) -> Matched:
    """Read a Saleor's reasons and keep which of them are ours; no transaction may be open.

    Args:
        slug: of the installation.
        wanted: as in `match_reasons`; the first title is the one a page is made with.
        create: make the page type, choose it and make the pages that are missing; what is there already is taken.
        now: UTC.
    Raises:
        SaleorError: no answer, or a refusal; SaleorPermissionDenied names what `create` lacks.
    """
    client = client_for(slug)
    installation = SaleorInstallation.objects.get(slug=slug)
    options = allowed_options(installation.api_url) or {}
    given = options.get("reasons") or {}
    chosen = {str(reason): str(page) for reason, page in given.items()} if isinstance(given, Mapping) else {}
    read = credit.read_refund_reasons(client)
    if create and client.version() >= credit.REASONS_SINCE:
        read = _create(client, read, wanted=wanted, chosen=chosen)
    matched = match_reasons(read.pages, wanted=wanted, chosen=chosen) if read else {}
    _keep(slug, matched, now=now)
    ours = {page.id for page in matched.values()}
    return Matched(
        page_type=read.page_type.name if read else "",
        pages=matched,
        missing=[reason for reason in wanted if reason not in matched],
        others=[page.title for page in read.pages if page.id not in ours] if read else [],
    )


def page_of_reason(slug: str, reason: str) -> str:
    """Return the id of the page that stands for one of our reasons in a Saleor; "" when it has none. One query."""
    metadata = SaleorInstallation.objects.filter(slug=slug).values_list("metadata", flat=True).first() or {}
    return str(metadata.get(KEPT, {}).get("pages", {}).get(reason, ""))


def _create(client: Caller, read: RefundReasons | None, *, wanted: Wanted, chosen: Mapping[str, str]) -> RefundReasons:
    if read is None:
        kind = credit.find_page_type(client, name=PAGE_TYPE) or credit.create_page_type(client, name=PAGE_TYPE)
        read = RefundReasons(page_type=kind, pages=credit.read_pages(client, kind.id))
        credit.choose_reason_type(client, page_type_id=kind.id)
    there = match_reasons(read.pages, wanted=wanted, chosen=chosen)
    made = [
        credit.create_reason(client, page_type_id=read.page_type.id, title=titles[0], slug=PREFIX + slugify(reason.replace("_", "-")))
        for reason, titles in wanted.items()
        if reason not in there
    ]
    return RefundReasons(page_type=read.page_type, pages=(*read.pages, *made))


def _keep(slug: str, matched: Mapping[str, ReasonData], *, now: datetime) -> None:
    installation = SaleorInstallation.objects.get(slug=slug)  # anew: other metadata may have changed while Saleor was asked
    installation.metadata[KEPT] = {"pages": {reason: page.id for reason, page in matched.items()}, "read_at": now.isoformat()}
    installation.save(update_fields=["metadata"])
