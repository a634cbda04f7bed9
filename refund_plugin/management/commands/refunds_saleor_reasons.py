"""Match our reasons for refunds with a Saleor's, or make them there, from a shell."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.saleor.models import SaleorInstallation

EPILOG = """examples:
  manage.py refunds_saleor_reasons shop-example            # which page is which of our reasons
  manage.py refunds_saleor_reasons shop-example --create   # make the pages that are missing

--create needs permissions that the App does not ask for: MANAGE_PAGES, MANAGE_PAGE_TYPES_AND_ATTRIBUTES and MANAGE_SETTINGS.
Give them to the App in Saleor's dashboard for as long as it takes, or make the pages by hand: a page is matched by its slug
(refund-changed-mind), by its title, or by the option "reasons" in the settings.

exit codes:
  0 done, 1 Saleor refused or did not answer, 2 wrong usage
"""


class Command(BaseCommand):
    """Exit codes: 0 done, 1 Saleor refused or did not answer, 2 wrong usage."""

    help = "Match our reasons for refunds with the reason pages of a Saleor; --create makes what is missing there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare which Saleor, and whether pages are made."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("slug", help="slug of the installation")
        parser.add_argument("--create", action="store_true", help="make the pages that are missing, and choose their type in Saleor")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, slug: str, create: bool, as_json: bool, **options: Any) -> None:
        """Match, and tell what is what."""
        from refund_plugin.saleor.errors import SaleorError  # the extra `saleor` may be missing where nobody runs this
        from refund_plugin.saleor.reasons import synchronise_reasons
        from refund_plugin.saleor_app.reasons import our_reasons

        if not SaleorInstallation.objects.filter(slug=slug).exists():
            raise CommandError(f"There is no installation “{slug}”; see: manage.py refunds_saleor", returncode=2)
        try:
            matched = synchronise_reasons(slug=slug, wanted=our_reasons(), now=clock.now(), create=create)
        except SaleorError as error:
            raise CommandError(str(error), returncode=1) from error
        if as_json:
            pages = {reason: {"id": page.id, "slug": page.slug, "title": page.title} for reason, page in matched.pages.items()}
            told = {"page_type": matched.page_type, "pages": pages, "missing": list(matched.missing), "others": list(matched.others)}
            self.stdout.write(json.dumps(told, indent=2))
            return
        if not matched.page_type:
            self.stdout.write("This Saleor has no page type for refund reasons: refunds carry their reason as text.")
            return
        lines = [f"Page type: {matched.page_type}"]
        lines += [f"  {reason}: {page.title}" for reason, page in matched.pages.items()]
        lines += [f"  {reason}: no page; such refunds carry their reason as text" for reason in matched.missing]
        lines += [f"  not one of ours: {title}" for title in matched.others]
        self.stdout.write("\n".join(lines))
