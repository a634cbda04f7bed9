"""Django's entry point: wiring only."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class RefundPluginConfig(AppConfig):
    """Registers checks, gateways and event subscribers; `migrate` makes the default store and accounts."""

    name = "refund_plugin"
    verbose_name = _("Refunds")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Wire the rooms together."""
        from refund_plugin import checks, saleor_checks  # noqa: F401  (register themselves)
        from refund_plugin.messaging import subscribers
        from refund_plugin.refunds import followers, tasks  # noqa: F401  (Celery tasks)
        from refund_plugin.saleor_app import duties as saleor_duties
        from refund_plugin.webhooks import facts, sales

        subscribers.register()
        followers.register()
        facts.register()
        sales.register()
        saleor_duties.register()
        pre_migrate.connect(_look, sender=self, dispatch_uid="refund_plugin.look")
        post_migrate.connect(_seed, sender=self, dispatch_uid="refund_plugin.seed")


_known_actions: dict[str, frozenset[str]] = {}  # by database, from before `migrate`: what it adds is new to the staff group


def _look(*, using: str, **kwargs: object) -> None:
    from refund_plugin.staff.setup import known_actions

    _known_actions[using] = known_actions(using=using)


def _seed(*, using: str, **kwargs: object) -> None:
    from refund_plugin.gateways.services import ensure_accounts
    from refund_plugin.refunds.brake.services import brake_of
    from refund_plugin.staff.setup import ensure_staff_group
    from refund_plugin.stores.services import ensure_default_store

    brake_of(ensure_default_store())
    ensure_accounts()
    ensure_staff_group(known=_known_actions.pop(using, frozenset()), using=using)
