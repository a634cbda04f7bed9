"""A bare Wagtail site in a folder of its own, generated with the lines that `docs/install.md` tells a merchant to add."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.documented import block

SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "for tests only"
DEBUG = False
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS = [
    "mysite",
    "wagtail.contrib.forms", "wagtail.contrib.redirects", "wagtail.embeds", "wagtail.sites", "wagtail.users",
    "wagtail.snippets", "wagtail.documents", "wagtail.images", "wagtail.search", "wagtail.admin", "wagtail",
    "modelcluster", "taggit", "django_filters",
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "site.sqlite3"}}
# an old project's choice, which must not reach the migrations of the apps it installs
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
WAGTAIL_SITE_NAME = "Paper Heron"
WAGTAILADMIN_BASE_URL = "http://testserver"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
"""

URLS = """
from django.urls import include, path
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls

urlpatterns = [path("admin/", include(wagtailadmin_urls)), path("", include(wagtail_urls))]
"""

BASE_TEMPLATE = """<!doctype html>
<html lang="en"><head><title>{% block title %}{% endblock %}</title></head>
<body><main>{% block content %}{% endblock %}</main></body></html>
"""

SECRETS = {"STRIPE_API_KEY": "sk_test_host", "STRIPE_WEBHOOK_SECRET": "whsec_host"}


@dataclass(frozen=True)
class HostSite:
    """A project that somebody else wrote, before and after installing the plugin.

    Attributes:
        folder: holds the project; nothing of this repository lies in it.
        python: the interpreter of the environment the site runs in.
        path: folders on its PYTHONPATH; empty for an installed package.
    """

    folder: Path
    python: Path = Path(sys.executable)
    path: tuple[Path, ...] = ()
    more_settings: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write the project."""
        written = {
            "mysite/__init__.py": block("__init__.py"),
            "mysite/celery.py": block("celery.py"),
            "mysite/settings.py": SETTINGS + block("sqlite.py") + block("broker.py") + block("settings.py") + self.more_settings,
            "mysite/urls.py": URLS + block("urls.py"),
            "mysite/orders.py": block("orders.py"),
            "mysite/templates/base.html": BASE_TEMPLATE,
            **self.files,
        }
        for name, text in written.items():
            place = self.folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments inside the site's folder; the caller looks at the status."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        environment = {**kept, **SECRETS, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
        if self.path:
            environment["PYTHONPATH"] = os.pathsep.join(map(str, self.path))
        return subprocess.run(
            [self.python, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    def manage(self, *arguments: str) -> str:
        """Run `django-admin` and return what it printed.

        Raises:
            AssertionError: it failed; the message carries what it said.
        """
        done = self.run("-m", "django", *arguments)
        assert done.returncode == 0, f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr
