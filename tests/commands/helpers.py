"""Run a command as a shell would."""

from __future__ import annotations

import io
from dataclasses import dataclass

from django.core.management import load_command_class
from django.core.management.base import CommandError


@dataclass(frozen=True)
class Ran:
    """What a shell sees."""

    code: int
    out: str
    err: str


def run(name: str, *arguments: str) -> Ran:
    """Run a management command with its command line and return its exit code and output."""
    out, err = io.StringIO(), io.StringIO()
    command = load_command_class("refund_plugin", name)
    command._called_from_command_line = True  # wrong usage ends the process instead of raising
    parser = command.create_parser("manage.py", name)
    try:
        options = {**vars(parser.parse_args([*arguments])), "no_color": True}
        command.execute(*options.pop("args", ()), **options, stdout=out, stderr=err)
    except CommandError as error:
        return Ran(error.returncode, out.getvalue(), str(error))
    except SystemExit as exit:
        return Ran(int(exit.code or 0), out.getvalue(), err.getvalue())
    return Ran(0, out.getvalue(), err.getvalue())
