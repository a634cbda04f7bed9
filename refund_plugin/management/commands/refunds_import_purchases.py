"""Bring existing orders into the plugin from a JSON Lines or CSV file."""

from __future__ import annotations

import json
import os
import shutil
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.management.stores import find_store
from refund_plugin.orders.import_formats import UnreadableFile, read_csv, read_jsonl
from refund_plugin.orders.importing import Rejected, Report, import_purchases
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store

READERS = {"jsonl": read_jsonl, "csv": read_csv}
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
EPILOG = """\
example:
  manage.py refunds_import_purchases orders.csv --dry-run
  manage.py refunds_import_purchases orders.csv

It is safe to run again: an order that is known and unchanged stays as it is. Rejected orders go to
FILE.rejected.jsonl, with line number and reason; all others land. The format is described in docs/importing.md.

exit codes:
  0 every order landed, 1 some were rejected or the file cannot be read, 2 wrong usage"""


class Command(BaseCommand):
    """Exit codes: 0 every order landed, 1 some were rejected or the file cannot be read, 2 wrong usage."""

    help = "Import purchases from a JSON Lines or CSV file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--format", choices=sorted(READERS), help="jsonl or csv; told by the file's suffix when omitted")
        parser.add_argument("--store", default="", help="slug of the store the orders belong to (the default store)")
        parser.add_argument("--rejected", type=Path, help="where rejected orders go (FILE.rejected.jsonl)")
        parser.add_argument("--dry-run", action="store_true", help="check everything, keep nothing")
        parser.add_argument("--json", action="store_true", help="print the summary as JSON")

    def handle(self, *args: Any, file: Path, rejected: Path | None, store: str, dry_run: bool, **options: Any) -> None:
        """Import, and print a summary."""
        reader = READERS[options["format"] or self._format(file)]
        target = self._store(store)
        rejected = rejected or file.with_name(f"{file.name}.rejected.jsonl")
        if not file.is_file():
            raise CommandError(f"{file} does not exist.")
        if rejected.resolve() == file.resolve():
            raise CommandError("--rejected names the file that is imported; give another name.")
        with file.open("rb") as source, _RejectedFile(rejected) as left_out:
            progress = _Progress(source, size=file.stat().st_size, stream=sys.stderr)
            try:
                report = import_purchases(
                    store=target,
                    rows=reader(source, zone=ZoneInfo(target.timezone)),
                    now=clock.now(),
                    on_rejected=left_out.write,
                    on_progress=progress.show,
                    dry_run=dry_run,
                )
            except UnreadableFile as error:
                raise CommandError(f"{file}: {error}") from error
            finally:
                progress.clear()
        self._summarise(report, rejected, dry_run=dry_run, as_json=options["json"])
        if report.rejected:
            sys.exit(1)

    def _format(self, file: Path) -> str:
        try:
            return SUFFIXES[file.suffix.lower()]
        except KeyError:
            raise CommandError(f"The suffix of {file.name} tells no format. Add --format csv or --format jsonl.") from None

    def _store(self, slug: str) -> Store:
        if slug in ("", settings().store):
            return ensure_default_store()
        return find_store(slug)

    def _summarise(self, report: Report, rejected: Path, *, dry_run: bool, as_json: bool) -> None:
        if as_json:
            self.stdout.write(
                json.dumps({**asdict(report), "dry_run": dry_run, "rejected_file": str(rejected) if report.rejected else None})
            )
            return
        verb = "would be " if dry_run else ""
        self.stdout.write(
            f"{report.total} orders: {report.created} {verb}created, {report.updated} {verb}updated,"
            f" {report.unchanged} unchanged, {report.rejected} rejected."
        )
        if report.rejected:
            self.stdout.write(self.style.WARNING(f"Rejected orders, with line and reason: {rejected}"))


class _RejectedFile:
    """Written from the first rejected order on; a file of an earlier run never outlives this one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._file: TextIO | None = None

    def __enter__(self) -> _RejectedFile:
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, rejected: Rejected) -> None:
        """Append one order."""
        if self._file is None:
            # it repeats addresses of customers: for its owner's eyes
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = self._stack.enter_context(os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace"))
        json.dump(asdict(rejected), self._file, cls=DjangoJSONEncoder, ensure_ascii=False)
        self._file.write("\n")


class _Progress:
    """A bar on a terminal; silent elsewhere."""

    WIDTH = 30

    def __init__(self, source: BinaryIO, *, size: int, stream: TextIO) -> None:
        self._source, self._size, self._stream = source, size, stream
        self._shown = stream.isatty()

    def show(self, report: Report) -> None:
        """Draw how much of the file was read."""
        if not self._shown:
            return
        done = min(1.0, self._source.tell() / self._size) if self._size else 1.0
        bar = "█" * round(done * self.WIDTH)
        text = f"{bar:░<{self.WIDTH}} {done:4.0%}  {report.total:,} orders, {report.rejected:,} rejected"
        self._stream.write("\r" + text[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
