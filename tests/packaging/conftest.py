"""The distribution, built once, and two clean environments that it is installed into: with all extras, and with none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documented import ROOT
from tests.hosts.site import HostSite

NOT_COPIED = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__", "artefacts", "node_modules")


@dataclass(frozen=True)
class Distribution:
    """What would be uploaded, and the copy of the source tree it was built from."""

    source: Path
    sdist: Path
    wheel: Path


def _run(*command: str | Path, cwd: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DJANGO"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """Build the sdist, and the wheel from the sdist, from a copy of the source tree without leftovers of other builds."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_COPIED)
    # without --sdist or --wheel, the wheel is built from the sdist
    _run(sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "source", cwd=folder)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return Distribution(folder / "source", sdist, wheel)


def _install(environment: Path, requirement: str) -> Path:
    """Install into an environment and return its interpreter."""
    python = environment / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", requirement, cwd=environment)
    return python


def _migrated_site(folder: Path, python: Path) -> HostSite:
    site = HostSite(folder / "site", python=python)
    site.write()
    site.manage("migrate", "--verbosity", "0")
    return site


@pytest.fixture(scope="session")
def core_site(distribution: Distribution, tmp_path_factory: pytest.TempPathFactory) -> HostSite:
    """A site in a clean environment with the wheel alone, migrated."""
    folder = tmp_path_factory.mktemp("core")
    _run(sys.executable, "-m", "venv", "--without-pip", folder / "environment", cwd=folder)
    return _migrated_site(folder, _install(folder / "environment", str(distribution.wheel)))


@pytest.fixture(scope="session")
def full_site(distribution: Distribution, core_site: HostSite, tmp_path_factory: pytest.TempPathFactory) -> HostSite:
    """A site in an environment like that of the core with `wheel[all]` on top, migrated."""
    folder = tmp_path_factory.mktemp("full")
    shutil.copytree(core_site.python.parent.parent, folder / "environment", symlinks=True)
    return _migrated_site(folder, _install(folder / "environment", f"{distribution.wheel}[all]"))
