"""The demo shop's settings with private, throw-away state.

Read from the environment (see `tests/run.py`):
    REFUND_TEST_DATABASE: `postgresql://user@host:port/name`; SQLite when empty.
    REFUND_TEST_BROKER: a broker URL such as `redis://127.0.0.1:6379/0`; the filesystem broker when empty.
    REFUND_TEST_DATABASE_NAME, REFUND_TEST_GATEWAY: for a worker that a test starts: the test's own database and sandbox.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from urllib.parse import unquote, urlsplit

if "SHOP_STATE_DIR" not in os.environ:
    # Processes that a test starts inherit the folder; the one that made it removes it.
    os.environ["SHOP_STATE_DIR"] = tempfile.mkdtemp(prefix="refund-tests-")
    atexit.register(shutil.rmtree, os.environ["SHOP_STATE_DIR"], ignore_errors=True)

from demo.shop.settings import *  # noqa: F403, E402
from demo.shop.settings import DATABASES, REFUND_PLUGIN, STATE  # noqa: E402

SECRET_KEY = "for tests only"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
WAGTAILADMIN_BASE_URL = "http://testserver"

_database = urlsplit(os.environ.get("REFUND_TEST_DATABASE", ""))
if _database.scheme.startswith("postgres"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _database.path.lstrip("/"),
            "USER": unquote(_database.username or ""),
            "PASSWORD": unquote(_database.password or ""),
            "HOST": _database.hostname,
            "PORT": str(_database.port or 5432),
        }
    }
else:
    # A file, because threads and other processes must see the same rows; in memory they would not.
    DATABASES["default"]["TEST"] = {"NAME": STATE / "test.sqlite3"}

DATABASES["default"]["NAME"] = os.environ.get("REFUND_TEST_DATABASE_NAME") or DATABASES["default"]["NAME"]

_broker = os.environ.get("REFUND_TEST_BROKER", "")
if _broker:
    CELERY_BROKER_URL = _broker
    CELERY_BROKER_TRANSPORT = ""
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}

# Nobody answers at port 9: a test that needs the gateway says which sandbox it talks to.
REFUND_PLUGIN = {
    **REFUND_PLUGIN,
    "RECONCILE_HOURS": 0,  # type: ignore[dict-item]  # a comparison would find out before what is tested does
    # counted as everywhere, and never reached by a test that makes thousands of refunds; tests of the brake set their own
    "BRAKE": {"hour": {"*": 10**15}, "day": {"*": 10**15}},
    "GATEWAYS": {
        "default": {
            "kind": "stripe",
            "api_key": "sk_test_tests",
            "webhook_secret": "whsec_tests",
            "api_base": os.environ.get("REFUND_TEST_GATEWAY", "http://127.0.0.1:9"),
        },
    },
}
