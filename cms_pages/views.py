"""The admin's one action on a policy besides publishing: let the shop use it."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from cms_pages.policy_pages import policy_page_models
from refund_plugin import clock
from refund_plugin.errors import RefundPluginError
from refund_plugin.policies.queries import policy_for_key
from refund_plugin.policies.services import assign_policy


@require_http_methods(["GET", "POST"])
def use_policy(request: HttpRequest, page_id: int) -> HttpResponse:
    """Ask, then let the page's shop take its verdicts from this policy."""
    page = next((page for model in policy_page_models() for page in model.objects.filter(pk=page_id)), None)
    if page is None:
        raise Http404
    if not page.permissions_for_user(request.user).can_publish() or not page.may_decide_for(page.store, user=request.user):
        raise PermissionDenied
    policy = policy_for_key(page.policy_key)
    if policy is None or not page.is_source:
        raise Http404
    if request.method == "POST":
        try:
            assign_policy(policy=policy, store=page.store, now=clock.now(), by=str(request.user.pk))
        except RefundPluginError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, _("%(shop)s now uses this policy.") % {"shop": page.store})
        return redirect("wagtailadmin_pages:edit", page.pk)
    return render(request, "cms_pages/admin/use_policy.html", {"page": page, "store": page.store})
