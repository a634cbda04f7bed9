"""Rules that the database itself keeps, declared in a model's `Meta.constraints` and written into its migration.

They stand behind the code: a service that forgets a rule, a shell, or another program gets an `IntegrityError`.
PostgreSQL keeps all of them; SQLite keeps `Transitions` (its append-only tables are emptied between tests by DELETE).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.ddl_references import Statement, Table
from django.db.models import BaseConstraint

_FUNCTION = "CREATE OR REPLACE FUNCTION %(name)s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %(body)s END $$;"
_REFUSE = "RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{message}';"


class Guard(BaseConstraint):
    """A trigger that belongs to a table; subclasses write it for each database they know."""

    def trigger(self, vendor: str) -> tuple[str, str] | None:
        """Return the function's body (PostgreSQL only) and what follows `CREATE TRIGGER <name>`, with `%(table)s` in it."""
        raise NotImplementedError

    def constraint_sql(self, model: Any, schema_editor: Any) -> str:
        """Add nothing to `CREATE TABLE`; the trigger is made after it."""
        statement = self.create_sql(model, schema_editor)
        if statement:
            schema_editor.deferred_sql.append(statement)
        return ""

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return the statement that makes the trigger, or nothing for a database we do not know."""
        written = self.trigger(schema_editor.connection.vendor)
        if written is None:
            return ""
        body, trigger = written
        function = _FUNCTION % {"name": self.name, "body": body} if body else ""
        return Statement(
            f"{function.replace('%', '%%')} CREATE TRIGGER %(name)s {trigger}",
            table=Table(model._meta.db_table, schema_editor.quote_name),
            name=self.name,
        )

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return the statement that drops the trigger."""
        vendor = schema_editor.connection.vendor
        if self.trigger(vendor) is None:
            return ""
        template = "DROP TRIGGER IF EXISTS %(name)s ON %(table)s" if vendor == "postgresql" else "DROP TRIGGER IF EXISTS %(name)s"
        return Statement(template, table=Table(model._meta.db_table, schema_editor.quote_name), name=self.name)

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to check in a form: the database does it."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.deconstruct() == self.deconstruct()

    def __hash__(self) -> int:
        return hash(self.name)


class AppendOnly(Guard):
    """Rows are added and never changed or deleted."""

    def trigger(self, vendor: str) -> tuple[str, str] | None:
        """See `Guard.trigger`."""
        if vendor != "postgresql":
            return None
        body = _REFUSE.format(message=f"{self.name}: rows of this table are never changed or deleted")
        return body, f"BEFORE UPDATE OR DELETE ON %(table)s FOR EACH ROW EXECUTE FUNCTION {self.name}()"


class Transitions(Guard):
    """A column goes only from one value to another that `allowed` names.

    Args:
        field: name of the column.
        allowed: (before, after) pairs; staying the same is always allowed.
    """

    def __init__(self, *, name: str, field: str, allowed: Sequence[tuple[str, str]]) -> None:
        super().__init__(name=name)
        self.field = field
        self.allowed = [(str(before), str(after)) for before, after in allowed]

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """See Django's `BaseConstraint.deconstruct`."""
        path, args, kwargs = super().deconstruct()
        return path, tuple(args), {**kwargs, "field": self.field, "allowed": self.allowed}

    def trigger(self, vendor: str) -> tuple[str, str] | None:
        """See `Guard.trigger`."""
        pairs = ", ".join(f"'{before}>{after}'" for before, after in self.allowed)
        forbidden = f"OLD.{self.field} || '>' || NEW.{self.field} NOT IN ({pairs})"
        message = f"{self.name}: this change of {self.field} is not in the table of transitions"
        if vendor == "postgresql":
            body = f"IF {forbidden} THEN {_REFUSE.format(message=message)} END IF; RETURN NEW;"
            when = f"WHEN (OLD.{self.field} IS DISTINCT FROM NEW.{self.field})"
            return body, f"BEFORE UPDATE OF {self.field} ON %(table)s FOR EACH ROW {when} EXECUTE FUNCTION {self.name}()"
        if vendor == "sqlite":
            when = f"WHEN OLD.{self.field} <> NEW.{self.field} AND {forbidden}"
            return "", f"BEFORE UPDATE OF {self.field} ON %(table)s FOR EACH ROW {when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
        return None


class Balanced(Guard):
    """The rows that one statement adds balance within every group: debits = credits.

    Args:
        group: names of the columns that make a group.
        debit, credit: names of the columns that are summed.
    """

    def __init__(self, *, name: str, group: Sequence[str], debit: str, credit: str) -> None:
        super().__init__(name=name)
        self.group, self.debit, self.credit = list(group), debit, credit

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """See Django's `BaseConstraint.deconstruct`."""
        path, args, kwargs = super().deconstruct()
        return path, tuple(args), {**kwargs, "group": self.group, "debit": self.debit, "credit": self.credit}

    def trigger(self, vendor: str) -> tuple[str, str] | None:
        """See `Guard.trigger`."""
        if vendor != "postgresql":
            return None
        columns = ", ".join(self.group)
        unbalanced = f"SELECT 1 FROM added GROUP BY {columns} HAVING SUM({self.debit}) <> SUM({self.credit})"
        body = f"IF EXISTS ({unbalanced}) THEN {_REFUSE.format(message=f'{self.name}: debits and credits differ')} END IF; RETURN NULL;"
        return body, f"AFTER INSERT ON %(table)s REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION {self.name}()"
