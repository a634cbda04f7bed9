#!/usr/bin/env python
"""Commands of the demo shop."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # The shop is used from the repository and not installed; a real site has its own layout.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo.shop.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
