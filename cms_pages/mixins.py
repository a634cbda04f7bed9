"""What makes a page a refund policy.

A site whose `Page` is not swapped uses `cms_pages.models.RefundPolicyPage`. A site with a page model of its own derives one:
`class RefundPolicyPage(RefundPolicyPageMixin, BasePage): ...`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.paginator import Paginator
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel, FieldRowPanel, MultiFieldPanel
from wagtail.contrib.routable_page.models import RoutablePageMixin, path
from wagtail.models import Site, TaskState

from cms_pages import presentation, previews
from cms_pages.blocks import KEPT, fill_anchors
from cms_pages.checking import findings_of
from cms_pages.documents import document_of
from cms_pages.fields import ClausesField, LimitsField
from cms_pages.forms import RefundPolicyPageForm
from cms_pages.history import VERSIONS_A_PAGE, read_history
from cms_pages.panels import PolicyChecksPanel, PolicyStatusPanel
from cms_pages.prose import ProseField
from cms_pages.services import Publication, close_publication, freeze_publication, publish_translation
from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.policies.queries import Texts, policy_for_key
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import store_for_site


class RefundPolicyPageMixin(RoutablePageMixin, models.Model):
    """A page whose published clauses are the program: saving it live freezes a policy version.

    Only the source page makes versions: of the pages with one translation key the oldest that is no alias. Clauses hold
    values, so translations follow the source; each page has its own prose.
    """

    intro = models.TextField(
        _("introduction"), blank=True, help_text=_("A sentence or two above the clauses. Leave a line empty between paragraphs.")
    )
    clauses = ClausesField(
        blank=True, verbose_name=_("clauses"), help_text=_("Read from the top: the first clause that applies to a product decides.")
    )
    limits = LimitsField(
        blank=True,
        verbose_name=_("limits for paying without a person"),
        help_text=_("A currency without a limit is paid without a person whatever the amount."),
    )
    prose = ProseField(
        verbose_name=_("texts of the clauses"),
        help_text=_("Optional words below the text that is made from a clause's values. A new clause appears here when you have saved."),
    )
    effective_from = models.DateTimeField(
        _("in force from"),
        null=True,
        blank=True,
        help_text=_("Purchases from this time on are judged by these clauses. Empty or past: from the moment of publishing."),
    )
    founding_from = models.DateTimeField(
        _("also for purchases since"),
        null=True,
        blank=True,
        help_text=_("For the first version only: purchases made before you published follow it too. Otherwise a person decides them."),
    )
    founding_reason = models.CharField(
        _("reason for dating it back"), max_length=500, blank=True, help_text=_("Kept with the version, and shown in its history.")
    )

    policy_panels: ClassVar[list[Any]] = [
        PolicyStatusPanel(),
        PolicyChecksPanel(heading=_("Checks of the policy")),
        FieldPanel("intro"),
        FieldPanel("clauses"),
        FieldPanel("limits"),
        FieldPanel("prose"),
        MultiFieldPanel(
            [FieldPanel("effective_from"), FieldRowPanel([FieldPanel("founding_from"), FieldPanel("founding_reason")])],
            heading=_("When it counts"),
        ),
    ]
    base_form_class = RefundPolicyPageForm
    # these belong to one publication of one page
    exclude_fields_in_copy: ClassVar[list[str]] = ["effective_from", "founding_from", "founding_reason"]

    class Meta:
        abstract = True

    # -- which page is it -------------------------------------------------------------------------------------------

    @property
    def original(self) -> Any:
        """The page that an alias shows; a page that is no alias itself."""
        page = self
        while page.alias_of_id:
            page = page.alias_of.specific
        return page

    @property
    def policy_key(self) -> str:
        """The key of the policy this page shows."""
        return str(self.original.translation_key)

    @property
    def source(self) -> Any:
        """The page whose clauses count: the oldest with this translation key that is no alias; itself while it is new."""
        original = self.original
        oldest = type(original).objects.filter(translation_key=original.translation_key, alias_of=None).order_by("pk").first()
        return original if oldest is None or oldest.pk == original.pk else oldest

    @property
    def is_source(self) -> bool:
        """Whether publishing this page makes versions."""
        return not self.alias_of_id and self.source is self

    def has_older_sibling(self) -> bool:
        """Tell whether an older page with this translation key makes the versions; also asked of a page just deleted."""
        siblings = type(self).objects.filter(translation_key=self.translation_key, alias_of=None)
        return bool(siblings.filter(pk__lt=self.pk).exists()) if self.pk else False

    @property
    def store(self) -> Store:
        """The store of the Wagtail site the page belongs to, else the default one."""
        site = self.get_site() if self.pk else None
        return store_for_site(wagtail_site_id=site.pk if site else None)

    def is_in_shop_of(self, store: Store) -> bool:
        """Tell whether this page may decide for a store without more ado: not from another site than the store's own."""
        if store.wagtail_site_id is None:
            return True
        site = self.get_site() if self.pk else None
        return site is not None and store.wagtail_site_id == site.pk

    def is_policy_of(self, store: Store) -> bool:
        """Tell whether the page's editors may know what a store sold and decided: it is their own site's, or follows this very policy."""
        if self.is_in_shop_of(store):
            return True
        policy = policy_for_key(self.policy_key)
        return policy is not None and policy.store_id == store.pk

    def may_decide_for(self, store: Store, *, user: Any) -> bool:
        """Tell whether somebody who may publish this page may let a store use it: a store of another site asks for more."""
        if self.is_in_shop_of(store):
            return True
        site = Site.objects.filter(pk=store.wagtail_site_id).select_related("root_page").first()
        return site is not None and bool(site.root_page.permissions_for_user(user).can_publish())

    def may_replay(self, store: Store, *, user: Any) -> bool:
        """Tell whether somebody who may edit this page may look at the past of its store.

        A site without a store of its own falls back to the default one, whose past is no business of that site's editors.
        """
        return self.is_policy_of(store) or self.may_decide_for(store, user=user)

    @property
    def texts(self) -> Texts:
        """The page's prose as the policy keeps it: of the clauses there are, and of the whole."""
        prose = {child.value["anchor"]: self.prose.get(child.value["anchor"]) for child in self.clauses if child.block_type != KEPT}
        texts = {anchor: dict(text) for anchor, text in prose.items() if text}
        return {**texts, "": {"body": self.intro}} if self.intro else texts

    # -- saving and freezing ----------------------------------------------------------------------------------------

    def save(self, clean: bool = True, user: Any = None, log_action: Any = False, **options: Any) -> Any:
        """Save, and freeze what the live row now holds.

        Not in a signal or the publish action: a first scheduling signals with `live=False`, aliases signal again, and a
        programmatic save signals nothing. A draft is saved with `update_fields` and leaves the live row, so it freezes nothing.
        """
        full = options.get("update_fields") is None and not self.get_deferred_fields()
        with transaction.atomic():
            is_source = full and self.is_source
            if full and not self.alias_of_id and not is_source:
                self.clauses, self.limits = self.source.clauses, self.source.limits
            if full:
                fill_anchors(self.clauses)
            result = super().save(clean=clean, user=user, log_action=log_action, **options)  # type: ignore[call-arg]
            if full and not self.alias_of_id:
                self._follow_live_row(is_source=is_source, by=user)
        return result

    save.alters_data = True  # type: ignore[attr-defined]

    def _follow_live_row(self, *, is_source: bool, by: Any) -> None:
        now = clock.now()
        if is_source and self.live:
            store = self.store if self.is_in_shop_of(self.store) else None
            freeze_publication(self._publication(), store=store, now=now, by=self._publisher(by))
            translations = type(self).objects.filter(translation_key=self.translation_key, alias_of=None).exclude(pk=self.pk)
            translations.update(clauses=self.clauses, limits=self.limits)
        elif is_source:
            close_publication(key=self.policy_key, now=now)
        elif self.live:
            publish_translation(key=self.policy_key, locale=self.locale.language_code, texts=self.texts, now=now)

    def _publisher(self, user: Any) -> str:
        if user is not None:
            return str(user.pk)
        revision = self.live_revision
        if revision is None:
            return ""
        # the workflow publishes without naming anybody: who approved last answers for it, not who wrote it
        approvals = TaskState.objects.filter(revision=revision, status=TaskState.STATUS_APPROVED, finished_by__isnull=False)
        approver = approvals.order_by("-finished_at").values_list("finished_by", flat=True).first()
        return str(approver or revision.user_id or "")

    def _publication(self) -> Publication:
        translations = type(self).objects.filter(translation_key=self.translation_key, alias_of=None, live=True).exclude(pk=self.pk)
        return Publication(
            key=self.policy_key,
            title=self.title,
            clauses=self.clauses,
            limits=self.limits,
            effective_from=self.effective_from,
            founding_from=self.founding_from,
            founding_reason=self.founding_reason,
            texts={page.locale.language_code: page.texts for page in [self, *translations.select_related("locale")]},
        )

    # -- showing ----------------------------------------------------------------------------------------------------

    def get_template(self, request: HttpRequest, *args: Any, **kwargs: Any) -> str:
        """Return the one template of policy pages: Wagtail would name another one after every class derived from the mixin."""
        return "cms_pages/refund_policy_page.html"

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Add the policy: the version in force, or in a preview what the editor has written so far."""
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["refund_base_template"] = settings().base_template
        if getattr(request, "is_preview", False):
            as_customer = getattr(request, "preview_mode", "") == previews.CUSTOMER
            context["policy"] = self.draft_view(with_remarks=not as_customer)
            context["as_customer"] = as_customer
        else:
            context["policy"] = presentation.current_view(key=self.policy_key, locale=self.locale.language_code, now=clock.now())
        context["versions_url"] = self._sub_url("versions")
        return context

    def draft_view(self, *, with_remarks: bool = True) -> presentation.PolicyView:
        """Return the page's own values for a preview, with what the linter says about them."""
        source = self.source
        clauses, limits = (self.clauses, self.limits) if source is self else (source.clauses, source.limits)
        fill_anchors(clauses)
        document = document_of(clauses, limits)
        findings = findings_of(self) if with_remarks else ()
        return presentation.draft_view(document=document, texts=self.texts, timezone=self.store.timezone, findings=findings)

    @property
    def preview_modes(self) -> list[tuple[str, Any]]:
        """How an editor can look at a draft."""
        return previews.MODES

    def make_preview_request(self, original_request: Any = None, preview_mode: Any = None, extra_request_attrs: Any = None) -> Any:
        """Let the preview of a past purchase know which one: the request that Wagtail makes up has no query of its own."""
        if preview_mode == previews.PURCHASE:
            extra_request_attrs = {**(extra_request_attrs or {}), "preview_order": previews.asked_number(original_request)}
        return super().make_preview_request(original_request, preview_mode, extra_request_attrs)

    def serve_preview(self, request: HttpRequest, mode_name: str) -> HttpResponse:
        """Show the draft, or what it says about a past purchase."""
        if mode_name != previews.PURCHASE:
            return super().serve_preview(request, mode_name)
        judged = previews.preview_purchase(self, user=request.user, number=getattr(request, "preview_order", ""))
        return self.render(request, template="cms_pages/preview_purchase.html", context_overrides={"judged": judged})

    def _sub_url(self, name: str, **kwargs: Any) -> str:
        return (self.url or "") + self.reverse_subpage(name, kwargs=kwargs)

    @path("versions/", name="versions")
    def show_versions(self, request: HttpRequest) -> HttpResponse:
        """List what was in force when, and what changed each time."""
        history = read_history(key=self.policy_key, locale=self.locale.language_code, now=clock.now())
        shown = Paginator(history.versions if history else [], VERSIONS_A_PAGE).get_page(request.GET.get("page"))
        context = {"page_of_history": shown, "history": history.entries(list(shown.object_list)) if history else []}
        return self.render(request, template="cms_pages/policy_versions.html", context_overrides=context)

    @path("versions/<int:number>/", name="version")
    def show_version(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show one version exactly as it was frozen."""
        view = presentation.version_view(key=self.policy_key, number=number, locale=self.locale.language_code, now=clock.now())
        if view is None:
            raise Http404
        return self.render(request, template="cms_pages/policy_version.html", context_overrides={"policy": view})
