"""What a merchant gets who installs the wheel: everything there, nothing of ours beside it, and a site that checks clean."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.site import HostSite
from tests.packaging.conftest import Distribution

PACKAGES = ("refund_plugin", "cms_pages")


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".po")
    )


def _source_as_installed(source: Path) -> set[str]:
    """Return every file of the source tree under the name it has in the wheel."""
    found = set()
    for package in PACKAGES:
        found |= {f"{package}/{name}" for name in _files(source / package)}
        found |= {f"{package}/migrations/{name}" for name in _files(source / "migrations" / package)}
    # the documents come without the stand-in: a folder called graphql must never be a Python package
    found.remove("refund_plugin/graphql_documents/__init__.py")
    return found | {f"refund_plugin/graphql_documents/{name}" for name in _files(source / "graphql")}


def _wanted(source: Path) -> dict[str, list[str]]:
    folders = {kind: [name for package in PACKAGES for name in _files(source / package / kind)] for kind in ("templates", "static")}
    return {**folders, "documents": [name.removesuffix(".graphql") for name in _files(source / "graphql")]}


def _probe(site: HostSite, distribution: Distribution) -> dict[str, Any]:
    shutil.copy(Path(__file__).with_name("probe.py"), site.folder)
    (site.folder / "wanted.json").write_text(json.dumps(_wanted(distribution.source)))
    done = site.run("probe.py", "wanted.json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="session")
def full(full_site: HostSite, distribution: Distribution) -> dict[str, Any]:
    """What the site with all extras found."""
    return _probe(full_site, distribution)


@pytest.fixture(scope="session")
def core(core_site: HostSite, distribution: Distribution) -> dict[str, Any]:
    """What the site without extras found."""
    return _probe(core_site, distribution)


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    own = {name for name in names if ".dist-info/" not in name}
    assert own == _source_as_installed(distribution.source)


def test_the_wheel_has_real_migrations_in_place_of_the_stand_ins_of_a_source_tree(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as wheel:
        for package in PACKAGES:
            assert "__path__" not in wheel.read(f"{package}/migrations/__init__.py").decode()


def test_the_sdist_holds_what_the_tests_need(distribution: Distribution) -> None:
    with tarfile.open(distribution.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"setup.cfg", "pyproject.toml", "graphql/schema.graphql", "migrations/refund_plugin/__init__.py", "tests/conftest.py"} <= names


@pytest.mark.parametrize("site", ["full_site", "core_site"])
def test_the_system_checks_of_a_site_with_the_documented_lines_are_clean(site: str, request: pytest.FixtureRequest) -> None:
    said = request.getfixturevalue(site).manage("check", "--fail-level", "WARNING", "--database", "default")
    assert "no issues (0 silenced)" in said


@pytest.mark.parametrize("site", ["full_site", "core_site"])
def test_django_sees_and_applies_the_migrations(site: str, request: pytest.FixtureRequest) -> None:
    said = request.getfixturevalue(site).manage("showmigrations", *PACKAGES)
    for package in PACKAGES:
        section = said.partition(f"{package}\n")[2]
        assert section.lstrip().startswith("[X] 0001_initial")
    assert "[ ]" not in said


def test_a_host_with_another_kind_of_keys_has_no_migrations_to_make(full_site: HostSite) -> None:
    assert "No changes detected" in full_site.manage("makemigrations", "--check", "--dry-run")


def test_the_packages_come_from_the_environment_and_not_from_the_source_tree(full: dict[str, Any], core: dict[str, Any]) -> None:
    for found in (full, core):
        assert all("/site-packages/" in place for place in found["packages"])


def test_every_template_static_file_and_document_is_found(full: dict[str, Any], core: dict[str, Any]) -> None:
    for found in (full, core):
        assert found["missing_templates"] == []
        assert found["missing_static"] == []
        assert found["missing_documents"] == []


def test_our_folder_of_documents_does_not_shadow_graphql_core(full: dict[str, Any]) -> None:
    assert full["graphql"].endswith("/site-packages/graphql/__init__.py")


def test_what_a_saleor_is_asked_comes_with_the_package(full: dict[str, Any], distribution: Distribution) -> None:
    files = {path.stem for path in (distribution.source / "graphql" / "saleor").glob("*.graphql")}
    assert set(full["saleor"]) == {name for name in files if not name.startswith("fragments")}
    assert full["saleor_manifest"] == "/refunds/saleor/manifest.json"


def test_an_order_told_by_the_documented_lines_can_be_asked_about(full: dict[str, Any]) -> None:
    assert full["purchases"] == 1
    assert full["quote"]["data"]["refundQuote"]["refundQuote"]["orderNumber"] == "1042"


def test_the_pages_answer(full: dict[str, Any], core: dict[str, Any]) -> None:
    for found in (full, core):
        assert found["pages"] == {"ask": 200, "purchases": 200}
        assert found["health"] == ["broker", "database", "gateway", "status", "worker"]


def test_without_extras_there_is_no_graphql_and_no_saleor_and_all_else_works(core: dict[str, Any]) -> None:
    assert core["strawberry"] is False
    assert core["graphql"] is None
    assert core["quote"] is None
    assert core["saleor"] is None
    assert core["saleor_manifest"] == ""
    assert core["purchases"] == 1
