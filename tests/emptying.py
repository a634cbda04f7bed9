"""Emptying the database after a test that committed, without what Django does for it each time and no test needs.

Django empties every table and makes every app's content types and permissions anew. Here only tables that have rows are emptied, and
those two, which no test changes, stay as they are. What the plugin puts into a new database is put there again.
"""

from __future__ import annotations

from functools import cache

from django.apps import apps
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models.signals import post_migrate

KEPT = frozenset({"django_content_type", "auth_permission"})


def empty_database() -> None:
    """Leave the default database as `flush` leaves it."""
    with connection.cursor() as cursor:
        cursor.execute(_filled_tables())
        filled = [name for (name,) in cursor.fetchall()]
    # what refers to them is emptied with them where the database insists on it; it has no rows
    cascade = connection.vendor == "postgresql"
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), filled, allow_cascade=cascade))
    ours = apps.get_app_config("refund_plugin")
    post_migrate.send(sender=ours, app_config=ours, verbosity=0, interactive=False, using=DEFAULT_DB_ALIAS, apps=apps, plan=[])


@cache
def _filled_tables() -> str:
    """Return the statement that names the tables with rows."""
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT
    quote = connection.ops.quote_name
    return " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quote(table)})" for table in sorted(tables))
