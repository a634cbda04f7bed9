"""What the footer tag adds to a page of Wagtail's: the time, and the queries."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.bench.figures import Row, at_most, percentile, time_each

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP, PAIRS = 20, 300
FOOTER = "{% load refund_policy %}{% refund_policy_summary %}"
PAGE = "<html><body><h1>{{ page.title }}</h1><footer>%s</footer></body></html>"


def measure() -> list[Row]:
    """Return the rows of the page; Django is set up. In turn it is served without the tag, with it, and with it as the first in 5 s.

    What the policy says is looked up for every page; only its address is kept in the process, for 5 s, by whichever page came first.
    """
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from cms_pages.policy_pages import forget_addresses

    call_command("migrate", verbosity=0, interactive=False)
    without, with_footer = prepare()

    def with_footer_first() -> str:
        forget_addresses()
        return with_footer()

    def queries(serve: Callable[[], str]) -> int:
        with CaptureQueriesContext(connection) as captured:
            serve()
        return len(captured)

    served = [without, with_footer, with_footer_first]
    time_each(served * WARM_UP)
    taken = time_each(served * PAIRS)
    bare, usual, first = taken[::3], taken[1::3], taken[2::3]
    added, added_first = ([after - before for before, after in zip(bare, each, strict=True)] for each in (usual, first))
    return [
        at_most("The footer tag on a Wagtail page, added, median", median(added), 2, "ms"),
        Row("  added, p95", f"{percentile(added, 95):.2f} ms"),
        Row("  added to the first page in 5 s of a process, median", f"{median(added_first):.2f} ms"),
        Row("  the page without it, median", f"{median(bare):.2f} ms"),
        Row("  SQL queries added", str(queries(with_footer) - queries(without))),
        at_most("  SQL queries added to the first page in 5 s", queries(with_footer_first) - queries(without), 2, "", 0),
    ]


def prepare() -> tuple[Callable[[], str], Callable[[], str]]:
    """Make a site with a page and a policy of its own; return what serves the page without the footer tag, and with it."""
    from django.template import engines
    from django.template.response import TemplateResponse
    from django.test import RequestFactory
    from wagtail.models import Locale, Page, Site

    from cms_pages.models import RefundPolicyPage
    from refund_plugin.stores.models import Store
    from tests.cms_pages.examples import EMPTY_SELECTOR, guarantee, refused

    locale = Locale.objects.get_or_create(language_code="en")[0]
    root = Page.objects.filter(depth=1).first() or Page.add_root(title="Root", slug="root", locale=locale)
    home = root.add_child(instance=Page(title="Shop", slug="page-bench", locale=locale))
    site = Site.objects.create(hostname="page.bench", root_page=home)
    Store.objects.create(slug="page-bench", name="Shop", timezone="UTC", wagtail_site_id=site.pk)
    kinds = [f"type-{number}" for number in range(10)]
    clauses = [guarantee(14 + number, selector={**EMPTY_SELECTOR, "product_types": kind}) for number, kind in enumerate(kinds)]
    home.add_child(instance=RefundPolicyPage(title="Refunds", slug="refunds", clauses=[refused(), *clauses, guarantee(14)]))
    home.add_child(instance=Page(title="About us", slug="about", locale=locale))

    def server(footer: str) -> Callable[[], str]:
        template = engines["django"].from_string(PAGE % footer)

        def serve() -> str:
            request = RequestFactory().get("/about/", headers={"host": "page.bench"})
            found = Site.find_for_request(request)
            page, _args, _kwargs = found.root_page.specific.route(request, ["about"])
            response = TemplateResponse(request, template, page.get_context(request))
            return str(response.render().content.decode())

        return serve

    return server(""), server(FOOTER)
