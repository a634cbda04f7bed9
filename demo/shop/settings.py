"""Settings of Paper Heron, a small shop that existed before the refund plugin came.

Everything that installing the plugin adds stands in the one block at the end.
"""

from __future__ import annotations

from demo import state

STATE = state.folder()
SECRETS = state.load_secrets()
ADDRESSES = state.load_addresses()

SECRET_KEY = SECRETS.django_secret_key
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "demo.shop",
    "wagtail.contrib.forms",
    "wagtail.contrib.redirects",
    "wagtail.embeds",
    "wagtail.sites",
    "wagtail.users",
    "wagtail.snippets",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "django_filters",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "wagtail.contrib.redirects.middleware.RedirectMiddleware",
]

ROOT_URLCONF = "demo.shop.urls"
WSGI_APPLICATION = "demo.shop.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# SQLite for several processes: readers never wait for the writer (WAL), a transaction takes the write lock when it
# begins instead of failing in the middle (IMMEDIATE), and a writer waits for its turn (timeout, seconds).
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": STATE / "shop.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = "Europe/Berlin"
USE_TZ = True

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
MEDIA_URL = "/media/"
MEDIA_ROOT = STATE / "media"

LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/library/"
LOGOUT_REDIRECT_URL = "/"

WAGTAIL_SITE_NAME = "Paper Heron"
WAGTAILADMIN_BASE_URL = ADDRESSES.shop
# the demo talks to nobody outside this machine
WAGTAIL_GRAVATAR_PROVIDER_URL = None
WAGTAIL_ENABLE_UPDATE_CHECK = False
WAGTAILSEARCH_BACKENDS = {"default": {"BACKEND": "wagtail.search.backends.database"}}

EMAIL_BACKEND = "demo.shop.mail.OutboxBackend"
DEFAULT_FROM_EMAIL = "Paper Heron <hello@paperheron.example>"

# Celery's embedded broker: messages are files. Its folders must exist before the first one.
BROKER_FOLDERS = {name: STATE / "broker" / name for name in ("messages", "control")}
for _folder in BROKER_FOLDERS.values():
    _folder.mkdir(parents=True, exist_ok=True)
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT = "refund_plugin.events.embedded_broker:Transport"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(BROKER_FOLDERS["messages"]),
    "data_folder_out": str(BROKER_FOLDERS["messages"]),
    "control_folder": str(BROKER_FOLDERS["control"]),
    "polling_interval": 0.1,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django_tasks": {"level": "WARNING"}},
}

# ---- The refund plugin: everything that installing it adds to the settings of a site -------------------------------
INSTALLED_APPS += ["refund_plugin", "cms_pages"]

REFUND_PLUGIN = {
    "STORE_NAME": "Paper Heron",
    "BASE_TEMPLATE": "base.html",
    "ACCESS_HANDLER": "demo.shop.access.set_access",
    "GATEWAYS": {
        "default": {
            "kind": "stripe",
            "api_key": SECRETS.stripe_api_key,
            "webhook_secret": SECRETS.stripe_webhook_secret,
            "api_base": ADDRESSES.sandbox,  # only because this shop pays into the sandbox; leave it out for Stripe itself
        },
    },
}

CELERY_BEAT_SCHEDULE = {"refunds": {"task": "refund_plugin.sweep", "schedule": 5.0, "options": {"expires": 60}}}
# ---- end of the refund plugin --------------------------------------------------------------------------------------
