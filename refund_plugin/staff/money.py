"""The page "Money truth": where every amount stands, and what compared it last with the gateway, the books and a small test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.generic import TemplateView, View
from wagtail.admin import messages
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.conf import settings
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import account_slugs
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.refunds.ledger.journal import as_csv
from refund_plugin.refunds.people import may
from refund_plugin.refunds.reconcile.models import ReconciliationRun
from refund_plugin.refunds.reconcile.queries import (
    MEASURES,
    AccountTruth,
    Books,
    Deadlines,
    account_truths,
    books,
    deadlines,
    running_runs,
)
from refund_plugin.refunds.reconcile.services import start_run
from refund_plugin.refunds.selftest import run_selftest
from refund_plugin.staff.permissions import policy

# a comparison that is much older than the schedule says that the schedule does not run
LATE_AFTER = 2
UNKNOWN_TOO_LONG = timedelta(hours=1)
DUE_TOO_LONG = timedelta(minutes=10)
VERIFY_TOO_OLD = timedelta(hours=48)

LABELS: dict[str, tuple[Any, Any]] = {
    "captured": (gettext_lazy("Paid by customers"), ""),
    "authorised": (gettext_lazy("Promised by their banks"), gettext_lazy("not captured yet")),
    "refunded": (gettext_lazy("Refunded"), gettext_lazy("through this site")),
    "by_hand": (gettext_lazy("Paid by hand"), gettext_lazy("by a person, with proof")),
    "elsewhere": (gettext_lazy("Refunded elsewhere"), gettext_lazy("at the payment provider, past this site")),
    "unassigned": (gettext_lazy("Not assigned yet"), gettext_lazy("refunded elsewhere or about to be, and of no product yet")),
    "waiting": (gettext_lazy("Waits to be sent"), ""),
    "pending": (gettext_lazy("With the bank"), gettext_lazy("sent and confirmed, not there yet")),
    "unknown": (gettext_lazy("Unknown"), gettext_lazy("sent, the answer is not known yet")),
    "claimed": (gettext_lazy("Being paid by a person"), ""),
    "disputed": (gettext_lazy("Disputed"), gettext_lazy("doubted or kept by the customer’s bank")),
    "over": (gettext_lazy("More than was paid"), gettext_lazy("gone beyond the payment: a loss until it is settled")),
}
COUNTS: dict[str, Any] = {
    "listed": gettext_lazy("listed"),
    "ours": gettext_lazy("ours"),
    "external": gettext_lazy("made elsewhere"),
    "foreign": gettext_lazy("on payments of others"),
    "disputes": gettext_lazy("disputes"),
    "payments": gettext_lazy("payments asked about"),
    "news": gettext_lazy("news"),
    "missing": gettext_lazy("not listed"),
}
STEPS: dict[str, Any] = {
    "charge": gettext_lazy("Make a small test payment"),
    "record": gettext_lazy("Record the purchase"),
    "request": gettext_lazy("Ask for a refund and approve it"),
    "refund": gettext_lazy("Send the refund"),
    "compare": gettext_lazy("Compare gateway, balances and ledger"),
}


class MoneyMixin(PermissionCheckedMixin):
    """A view of the money, for those who may see cases."""

    permission_policy = policy
    permission_required = Action.VIEW_CASES
    request: HttpRequest

    @cached_property
    def formatter(self) -> Formatter:
        """Writes amounts and times in the reader's language and the site's time zone."""
        return formatter_for(timezone=settings().zone)


class MoneyView(MoneyMixin, WagtailAdminTemplateMixin, TemplateView):
    """Everything on one page."""

    template_name = "refund_plugin/staff/money.html"
    page_title = gettext_lazy("Money truth")
    header_icon = "check"

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, money truth."""
        return [*self.breadcrumbs_items, {"url": "", "label": _("Money truth")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        now = clock.now()
        truths, ledger, due = account_truths(now), books(), deadlines(now)
        return super().get_context_data(
            accounts=[AccountPanel(truth) for truth in truths],
            running=[truth.running for truth in truths if truth.running],
            books=ledger,
            by_currency=[
                (currency, [total for total in ledger.totals if total.debit.currency == currency], *sums)
                for currency, sums in ledger.by_currency.items()
            ],
            deadlines=due,
            concerns=list(concerns(truths, ledger, due, self.formatter)),
            formatter=self.formatter,
            may_start=may(self.request.user, Action.APPROVE),
            **kwargs,
        )


class AccountPanel:
    """What the page tells of one account: measures as rows, currencies as columns."""

    def __init__(self, truth: AccountTruth) -> None:
        self.truth = truth
        self.now = clock.now()
        # what is nothing in every currency only hides what is something; what customers paid and what went back always shows
        self.rows = [
            (*LABELS[name], amounts)
            for name in MEASURES
            if any(amounts := [getattr(sums, name) for sums in truth.sums]) or name in ("captured", "refunded", "unknown")
        ]
        self.unknown_since = min((sums.unknown_since for sums in truth.sums if sums.unknown_since), default=None)

    @property
    def is_paused(self) -> bool:
        """Whether the breaker is open: the gateway did not answer lately."""
        until = self.truth.account.breaker_open_until
        return until is not None and until > self.now

    @property
    def counts(self) -> list[tuple[Any, int]]:
        """What the last whole comparison counted."""
        run = self.truth.done
        return [(label, run.counts[name]) for name, label in COUNTS.items() if run.counts.get(name)] if run else []

    @property
    def has_failed_since(self) -> bool:
        """Whether the newest comparison could not be read to its end."""
        failed, done = self.truth.failed, self.truth.done
        return failed is not None and (done is None or failed.pk > done.pk)

    @property
    def steps(self) -> list[tuple[Any, dict[str, Any]]]:
        """The self-test's steps with their names for people."""
        test = self.truth.self_test
        return [(STEPS.get(step["name"], step["name"]), step) for step in test.steps] if test else []


def concerns(truths: list[AccountTruth], ledger: Books, due: Deadlines, formatter: Formatter) -> Iterator[str]:
    """Yield a sentence for everything that is not as it should be, the gravest first; nothing when all is well."""
    now = clock.now()
    if ledger.differs or not ledger.balanced:
        yield _("The books do not add up.")
    for truth in truths:
        name = truth.account.slug
        if truth.finding_count:
            yield ngettext(
                "%(account)s: %(count)d refund differs from what the payment provider says.",
                "%(account)s: %(count)d refunds differ from what the payment provider says.",
                truth.finding_count,
            ) % {"account": name, "count": truth.finding_count}
        for sums in truth.sums:
            if sums.over:
                yield _("%(account)s: %(amount)s more is gone than was paid.") % {"account": name, "amount": formatter.money(sums.over)}
            if sums.unknown_since and now - sums.unknown_since > UNKNOWN_TOO_LONG:
                amount = formatter.money(sums.unknown)
                yield _("%(account)s: the answer for %(amount)s is not known for more than an hour.") % {"account": name, "amount": amount}
            if sums.unassigned:
                amount = formatter.money(sums.unassigned)
                yield _("%(account)s: %(amount)s refunded elsewhere belong to no product yet.") % {"account": name, "amount": amount}
        yield from _account_concerns(truth)
    if due.late:
        yield ngettext(
            "%(count)d withdrawal is later than the law allows.", "%(count)d withdrawals are later than the law allows.", due.late
        ) % {"count": due.late}
    if ledger.verified_at is None or now - ledger.verified_at > VERIFY_TOO_OLD:
        yield _("The books were not checked for two days: is a worker running?")


def _account_concerns(truth: AccountTruth) -> Iterator[str]:
    account, now = truth.account, clock.now()
    name = {"account": account.slug}
    if truth.is_current and account.on_hold:
        yield _("%(account)s: the payment provider refuses our key; nothing is sent.") % name
    elif truth.is_current and account.breaker_open_until and account.breaker_open_until > now:
        yield _("%(account)s: the payment provider does not answer; refunds wait.") % name
    since = truth.backlog.due_since
    if since and now - since > DUE_TOO_LONG:
        yield _("%(account)s: refunds have been due for more than ten minutes: is a worker running?") % name
    if truth.backlog.needs_person:
        yield ngettext(
            "%(account)s: %(count)d refund needs a person, see Requests.",
            "%(account)s: %(count)d refunds need a person, see Requests.",
            truth.backlog.needs_person,
        ) % {**name, "count": truth.backlog.needs_person}
    if not truth.is_current or not truth.is_configured:
        return
    hours, done = settings().reconcile_hours, truth.done
    if hours and truth.sums and (done is None or now - done.started_at > timedelta(hours=LATE_AFTER * hours)):
        yield _("%(account)s: not compared with the payment provider lately.") % name
    if truth.self_test and not truth.self_test.fine:
        yield _("%(account)s: the last self-test failed.") % name


class StartMixin(MoneyMixin):
    """Something to start for one account, by those who may approve refunds."""

    permission_required = Action.APPROVE
    kwargs: dict[str, Any]

    @cached_property
    def account(self) -> GatewayAccount:
        """The configured account of the address."""
        account = GatewayAccount.objects.filter(slug=self.kwargs["slug"], slug__in=account_slugs()).first()
        if account is None:
            raise Http404
        return account

    @property
    def name(self) -> str:
        """The person's name, as it is kept."""
        user: Any = self.request.user
        return user.get_full_name() or user.get_username()

    def back(self) -> HttpResponse:
        """Return to the page, at this account."""
        return redirect(f"{reverse('refund_money:index')}#account-{self.account.slug}")


class CompareView(StartMixin, View):
    """Start to compare with the gateway; a comparison under way is joined."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Start."""
        start_run(account=self.account, started_by=self.name)
        messages.success(request, _("The comparison is under way. Workers read the payment provider’s list page by page."))
        return self.back()


class SelfTestView(StartMixin, View):
    """Make a small test payment and refund it, now."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Run it, and tell how it went. An account that moves real money is refused before anything is kept."""
        if self.account.livemode:
            messages.error(
                request, _("“%(account)s” moves real money: the self-test runs in test mode only.") % {"account": self.account.slug}
            )
            return self.back()
        result = run_selftest(account=self.account, started_by=self.name, now=clock.now())
        if result.fine:
            messages.success(request, _("The self-test went through: a test payment was made and refunded."))
        else:
            messages.error(request, _("The self-test failed at “%(step)s”.") % {"step": STEPS[result.steps[-1]["name"]]})
        return self.back()


class ProgressView(MoneyMixin, View):
    """The part of the page that moves while comparisons are under way; nothing when none is."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Write it."""
        running: list[ReconciliationRun] = running_runs()
        response = render(request, "refund_plugin/staff/_progress.html", {"running": running})
        response["Cache-Control"] = "private, no-store"
        return response


class MoneyFileView(MoneyMixin, View):
    """The sums as a file for a spreadsheet."""

    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        """Stream it."""
        response = StreamingHttpResponse(as_csv(_lines()), content_type="text/csv; charset=utf-8")
        day = self.formatter.local(clock.now()).date()
        response["Content-Disposition"] = f'attachment; filename="money-{day}.csv"'
        response["Cache-Control"] = "private, no-store"
        return response


def _lines() -> Iterator[list[str]]:
    now = clock.now()
    yield ["told_at", "account", "mode", "currency", "measure", "amount", "amount_minor"]
    for truth in account_truths(now):
        for sums in truth.sums:
            for name in MEASURES:
                amount = getattr(sums, name)
                mode = "live" if truth.livemode else "test"
                yield [
                    f"{now:%Y-%m-%dT%H:%M:%SZ}",
                    truth.account.slug,
                    mode,
                    sums.currency,
                    name,
                    f"{amount.decimal:f}",
                    str(amount.minor),
                ]
    for total in books().totals:
        for side, amount in (("debit", total.debit), ("credit", total.credit)):
            measure = f"ledger {total.account} {side}"
            yield [f"{now:%Y-%m-%dT%H:%M:%SZ}", "", "", amount.currency, measure, f"{amount.decimal:f}", str(amount.minor)]
