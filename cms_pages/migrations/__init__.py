"""Stand-in for a source tree: the migrations live in the top-level `migrations/`; a wheel replaces this file by them."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "migrations" / __name__.split(".")[0])]
