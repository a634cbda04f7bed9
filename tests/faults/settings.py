"""Settings of the processes that the fault runs start: the tests' own, on the run's servers, with what a row changes.

Read from the environment, besides what `tests.settings` reads:
    REFUND_FAULTS_PLUGIN: JSON, merged into `REFUND_PLUGIN`.
    REFUND_FAULTS_ACCOUNT: JSON, merged into the one gateway account.
    REFUND_FAULTS_NO_MIGRATIONS: make the tables from the models, for a tree whose migrations are not written yet.
"""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import LOGGING, REFUND_PLUGIN

EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
LOGGING = {**LOGGING, "root": {**LOGGING["root"], "level": "WARNING"}}

REFUND_PLUGIN = {
    **REFUND_PLUGIN,
    # thousands are paid here within minutes, on purpose; the row about the brake sets it
    "BRAKE": {"hour": {"*": None}, "day": {"*": None}},
    "GATEWAYS": {"default": {**REFUND_PLUGIN["GATEWAYS"]["default"], **json.loads(os.environ.get("REFUND_FAULTS_ACCOUNT", "{}"))}},
    **json.loads(os.environ.get("REFUND_FAULTS_PLUGIN", "{}")),
}


class _NoMigrations(dict[str, None]):
    """Says of every app that it has no migrations."""

    def __contains__(self, app: object) -> bool:
        return True

    def __getitem__(self, app: str) -> None:
        return None


if os.environ.get("REFUND_FAULTS_NO_MIGRATIONS"):
    MIGRATION_MODULES = _NoMigrations()
