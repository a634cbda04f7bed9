"""The page "Automatic refunds": the dial, limits and ceilings with what was paid, the pause, and who changed what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.generic import TemplateView
from wagtail.admin import messages
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin

from refund_plugin import clock
from refund_plugin.actor import Action, Actor
from refund_plugin.errors import RefundPluginError, WrongState
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import Money
from refund_plugin.refunds.brake.models import AutomaticMode, AutomaticMoney
from refund_plugin.refunds.brake.queries import Meter, agreement, currencies_of, held_back, meters, pauses, unsent
from refund_plugin.refunds.brake.release import Held, approvable, release_held
from refund_plugin.refunds.brake.services import brake_of, pause_automatic, resume_automatic, set_automatic
from refund_plugin.refunds.people import may, staff_actor
from refund_plugin.staff.automatic_forms import AutomaticForm, PauseForm, ReleaseForm, ResumeForm
from refund_plugin.staff.automatic_history import told_history
from refund_plugin.staff.permissions import policy
from refund_plugin.stores.models import Store
from refund_plugin.stores.queries import customer_stores
from refund_plugin.stores.services import ensure_default_store

AGREEMENT_DAYS = 30


def paused_banner(user: Any) -> list[tuple[AutomaticMoney, Formatter, str]]:
    """Return each pause with who writes its times, and where this person may end it ("" when they may not); usually none."""
    manages = user is not None and may(user, Action.MANAGE_BRAKE)
    return [
        (row, formatter_for(timezone=row.store.timezone), f"{reverse('refund_automatic:resume')}?store={row.store.slug}" if manages else "")
        for row in pauses(clock.now())
    ]


class AutomaticMixin(PermissionCheckedMixin, WagtailAdminTemplateMixin):
    """A page about one store's automatic money; the store is named in the address, else it is the default one."""

    permission_policy = policy
    permission_required = Action.VIEW_CASES
    header_icon = "sliders"
    page_title = gettext_lazy("Automatic refunds")
    request: HttpRequest

    @cached_property
    def store(self) -> Store:
        """The store."""
        slug = self.request.GET.get("store")
        return get_object_or_404(customer_stores(), slug=slug) if slug else ensure_default_store()

    @cached_property
    def brake(self) -> AutomaticMoney:
        """The store's dial, limits and pause."""
        return brake_of(self.store)

    @cached_property
    def formatter(self) -> Formatter:
        """Writes amounts and times in the reader's language and the store's time zone."""
        return formatter_for(timezone=self.store.timezone)

    @cached_property
    def may_manage(self) -> bool:
        """Whether this person may change anything here."""
        return may(self.request.user, Action.MANAGE_BRAKE)

    @property
    def actor(self) -> Actor:
        """The person."""
        return staff_actor(self.request.user, self.store)

    def url(self, name: str) -> str:
        """Return a page of this store."""
        return f"{reverse(f'refund_automatic:{name}')}?store={self.store.slug}"

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, automatic refunds."""
        return [*self.breadcrumbs_items, {"url": self.url("index"), "label": _("Automatic refunds")}]


class AutomaticView(AutomaticMixin, TemplateView):
    """Everything on one page; those who may change it get the form."""

    template_name = "refund_plugin/staff/automatic.html"

    @cached_property
    def currencies(self) -> list[str]:
        """The currencies the store deals in."""
        return currencies_of(self.brake)

    def make_form(self, data: Any = None) -> AutomaticForm:
        """Return the form, filled with what is set."""
        return AutomaticForm(data, brake=self.brake, currencies=self.currencies, formatter=self.formatter)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Set the dial, the limits and the ceilings."""
        if not self.may_manage:
            raise PermissionDenied
        form = self.make_form(request.POST)
        if form.is_valid():
            try:
                set_automatic(
                    store=self.store,
                    mode=form.cleaned_data["mode"],
                    limit_minor=form.limits(),
                    ceilings=form.ceilings(),
                    by=self.actor,
                    now=clock.now(),
                )
            except RefundPluginError as error:
                form.add_error(None, forms.ValidationError(str(error)))
            else:
                messages.success(request, _("Saved. It holds for requests from now on."))
                return redirect(self.url("index"))
        messages.error(request, _("Nothing was saved yet: look at the fields that are marked."))
        return self.render_to_response(self.get_context_data(form=form))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        now, brake = clock.now(), self.brake
        form = kwargs.pop("form", None) or (self.make_form() if self.may_manage else None)
        watched = brake.mode != AutomaticMode.AUTOMATIC
        found = meters(brake, self.currencies, clock.database_now())
        return super().get_context_data(
            store=self.store,
            stores=[(store, f"{reverse('refund_automatic:index')}?store={store.slug}") for store in customer_stores()],
            brake=brake,
            paused=brake.is_paused(now),
            form=form,
            formatter=self.formatter,
            meters=[meter for meter in found if not meter.ceiling.sku],
            product_meters=[meter for meter in found if meter.ceiling.sku],
            nearly=[meter for meter in found if _is_nearly_full(meter)],
            held_back=held_back(self.store.pk),
            agreement=agreement(self.store.pk, since=now - timedelta(days=AGREEMENT_DAYS)) if watched else None,
            agreement_days=AGREEMENT_DAYS,
            history=told_history(self.store.pk, self.formatter),
            here=self.url("index"),
            pause_url=self.url("pause"),
            release_url=self.url("release") if may(self.request.user, Action.APPROVE) else "",
            resume_url=self.url("resume"),
            **kwargs,
        )


def _is_nearly_full(meter: Meter) -> bool:
    return meter.spent.minor * 10 >= meter.amount.minor * 9


class ConfirmView(AutomaticMixin, TemplateView):
    """A form about the pause on a page of its own, which says what will happen."""

    template_name = "refund_plugin/staff/automatic_confirm.html"
    action = Action.MANAGE_BRAKE
    heading: Any
    submit: Any

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away who may look but not do this."""
        if not may(request.user, self.action):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def make_form(self, data: Any = None) -> forms.Form:
        """Return the form, empty or bound."""
        raise NotImplementedError

    def perform(self, form: Any) -> str:
        """Call the service; return what to tell the person."""
        raise NotImplementedError

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Do it, or say what keeps it from being done."""
        form = self.make_form(request.POST)
        if form.is_valid():
            try:
                messages.success(request, self.perform(form))
                return redirect(self.url("index"))
            except WrongState as error:  # somebody was faster
                messages.warning(request, str(error))
                return redirect(self.url("index"))
            except RefundPluginError as error:
                form.add_error(error.field if error.field in form.fields else None, forms.ValidationError(str(error)))
        return self.render_to_response(self.get_context_data(form=form))

    def get_page_subtitle(self) -> str:
        """Name what is done."""
        return str(self.heading)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the form and what waits to be sent."""
        kwargs.setdefault("form", self.make_form())
        return super().get_context_data(
            store=self.store,
            brake=self.brake,
            formatter=self.formatter,
            heading=self.heading,
            submit=self.submit,
            unsent=unsent(self.store.pk),
            back_url=self.url("index"),
            **kwargs,
        )


class PauseView(ConfirmView):
    """Stop automatic money for a while."""

    heading = gettext_lazy("Pause automatic refunds")
    submit = gettext_lazy("Pause now")

    def make_form(self, data: Any = None) -> PauseForm:
        """Return the form for how long and why."""
        return PauseForm(data, auto_id="pause_%s")

    def perform(self, form: Any) -> str:
        """Pause."""
        now = clock.now()
        row = pause_automatic(store=self.store, until=form.until(now), by=self.actor, why=form.cleaned_data["why"], now=now)
        assert row.paused_until is not None
        return _("Automatic refunds are paused until %(until)s.") % {"until": self.formatter.datetime(row.paused_until)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say what a pause does."""
        return super().get_context_data(pausing=True, **kwargs)


class ResumeView(ConfirmView):
    """Go on before the pause ends by itself."""

    heading = gettext_lazy("Resume automatic refunds")
    submit = gettext_lazy("Resume now")

    def make_form(self, data: Any = None) -> ResumeForm:
        """Return the form for what has changed."""
        return ResumeForm(data, auto_id="resume_%s")

    def perform(self, form: Any) -> str:
        """Resume."""
        resume_automatic(store=self.store, by=self.actor, why=form.cleaned_data["why"], now=clock.now())
        return _("Automatic refunds go on. What waited is being sent.")


class ReleaseView(ConfirmView):
    """Approve at once what the policy approved and only the brake held back; the page lists it before."""

    action = Action.APPROVE
    heading = gettext_lazy("Approve what waits")
    submit = gettext_lazy("Approve and send the money")

    @cached_property
    def held(self) -> list[Held]:
        """What is shown, or was shown when the form was sent."""
        if self.request.method != "POST":
            return approvable(self.store.pk)
        sent = [value for value in self.request.POST.getlist("requests") if _is_uuid(value)]
        return approvable(self.store.pk, among=[UUID(value) for value in sent])

    def make_form(self, data: Any = None) -> ReleaseForm:
        """Return the form for the reason; it carries which requests were shown."""
        return ReleaseForm(data, shown=[item.request.pk for item in self.held], auto_id="release_%s")

    def perform(self, form: Any) -> str:
        """Approve each of them."""
        done = release_held(held=self.held, by=self.actor, reason=form.cleaned_data["reason"], now=clock.now())
        for request, why in done.refused:
            messages.warning(self.request, f"{request.reference}: {why}")
        return ngettext(
            "%(count)d request is approved. Its money is on its way.",
            "%(count)d requests are approved. Their money is on its way.",
            done.approved,
        ) % {"count": done.approved}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """List what will be approved, with the sum of each currency."""
        sums: dict[str, Money] = {}
        for item in self.held:
            sums[item.amount.currency] = sums.get(item.amount.currency, Money.zero(item.amount.currency)) + item.amount
        return super().get_context_data(held=self.held, releasing=True, sums=list(sums.values()), **kwargs)


def _is_uuid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True
