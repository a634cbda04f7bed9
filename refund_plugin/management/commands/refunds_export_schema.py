"""Write the public GraphQL contract from the code, or tell whether the file is stale."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from refund_plugin import documents

HEAD = "# Made by: manage.py refunds_export_schema\n\n"


class Command(BaseCommand):
    """Exit codes: 0 written or current, 1 stale (`--check`) or impossible, 2 wrong usage."""

    help = "Write graphql/schema.graphql from the code; with --check only compare."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = "example:\n  manage.py refunds_export_schema --check\n\nexit codes:\n  0 written or current, 1 stale, 2 wrong usage"
        parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the file is stale")
        parser.add_argument("--output", type=Path, help="file to write or compare (the source tree's graphql/schema.graphql)")

    def handle(self, *args: Any, check: bool, output: Path | None, **options: Any) -> None:
        """Export or compare."""
        try:
            from refund_plugin.api.schema import schema
        except ImportError as error:
            raise CommandError(f'The GraphQL server is not installed ({error}): pip install "wagtail-refund-plugin[graphql]"') from error
        path = output or documents.source_folder() / documents.SCHEMA
        with translation.override("en"):
            text = f"{HEAD}{schema.as_str().strip()}\n"
        if check:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                raise CommandError(f"{path} is stale. Write it anew with: manage.py refunds_export_schema")
            self.stdout.write(f"{path} is current.")
            return
        if not path.parent.is_dir():
            raise CommandError(f"{path.parent} does not exist. Say where to write with --output FILE.")
        path.write_text(text, encoding="utf-8")
        self.stdout.write(f"{path} written.")
