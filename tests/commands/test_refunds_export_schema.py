"""`refunds_export_schema`: the public contract is current, and a stale one is noticed."""

from __future__ import annotations

from django.utils import translation

from tests.commands.helpers import run


def test_the_committed_schema_is_current():
    ran = run("refunds_export_schema", "--check")
    assert (ran.code, ran.err) == (0, "")


def test_the_schema_does_not_depend_on_the_language():
    with translation.override("de"):
        assert run("refunds_export_schema", "--check").code == 0


def test_what_was_written_is_current_and_a_change_makes_it_stale(tmp_path):
    path = tmp_path / "schema.graphql"
    assert run("refunds_export_schema", "--check", "--output", str(path)).code == 1
    assert run("refunds_export_schema", "--output", str(path)).code == 0
    assert run("refunds_export_schema", "--check", "--output", str(path)).code == 0
    path.write_text(path.read_text().replace("minorAmount", "minorUnits"))
    stale = run("refunds_export_schema", "--check", "--output", str(path))
    assert stale.code == 1
    assert "manage.py refunds_export_schema" in stale.err


def test_a_folder_that_does_not_exist_is_told(tmp_path):
    ran = run("refunds_export_schema", "--output", str(tmp_path / "nowhere" / "schema.graphql"))
    assert ran.code == 1
    assert "--output" in ran.err
