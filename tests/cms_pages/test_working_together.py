"""What Wagtail gives editors works for policies too: moderation, comments, comparison, locks, autosave, sites."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.urls import reverse
from wagtail.models import Comment, GroupApprovalTask, GroupPagePermission, Page, Site, Workflow, WorkflowTask
from wagtail.test.utils.form_data import inline_formset

from cms_pages.models import RefundPolicyPage
from refund_plugin.events.models import Event
from refund_plugin.policies.models import Policy, PolicyVersion
from refund_plugin.policies.queries import policy_for_key
from refund_plugin.stores.models import Store
from tests.cms_pages.examples import FOREIGN, document_at, guarantee, later, publish, refused
from tests.cms_pages.test_editing import form, post

pytestmark = pytest.mark.django_db


def person(name, *groups):
    user = get_user_model().objects.create_user(name, f"{name}@example.com", "secret")
    user.groups.add(*groups)
    return user


def group_at(page, name, *kinds):
    group = Group.objects.create(name=name)
    for kind in kinds:
        GroupPagePermission.objects.create(group=group, page=page, permission_type=kind)
    group.permissions.add(Permission.objects.get(content_type__app_label="wagtailadmin", codename="access_admin"))
    return group


# -- moderation -----------------------------------------------------------------------------------------------------


@pytest.fixture
def moderated(home):
    """Writers write and lawyers approve; returns one of each."""
    writers, lawyers = group_at(home, "Writers", "add", "change"), group_at(home, "Lawyers", "change", "publish")
    task = GroupApprovalTask.objects.create(name="Law")
    task.groups.add(lawyers)
    workflow = Workflow.objects.create(name="Review")
    WorkflowTask.objects.create(workflow=workflow, task=task, sort_order=0)
    workflow.workflow_pages.create(page=home)
    return person("writer", writers), person("lawyer", lawyers)


def submit(client, page, *clauses):
    post(client, page, form(page, *clauses), action="action-submit")
    page = RefundPolicyPage.objects.get(pk=page.pk)
    return page, page.current_workflow_task_state


def test_a_draft_in_moderation_freezes_nothing_until_it_is_approved_and_names_who_approved(client, make_page, moderated, windows_at):
    writer, lawyer = moderated
    page = make_page(guarantee(14, anchor="g"))
    client.force_login(writer)
    page, state = submit(client, page, guarantee(30, anchor="g"))
    assert windows_at() == [14]
    client.force_login(lawyer)
    client.post(reverse("wagtailadmin_pages:workflow_action", args=[page.pk, "approve", state.pk]), {"comment": "Fine."})
    assert windows_at() == [30]
    assert PolicyVersion.objects.get(number=2).frozen_by == str(lawyer.pk)


def test_a_draft_that_was_rejected_freezes_nothing(client, make_page, moderated, windows_at):
    writer, lawyer = moderated
    page = make_page(guarantee(14, anchor="g"))
    client.force_login(writer)
    page, state = submit(client, page, guarantee(30, anchor="g"))
    client.force_login(lawyer)
    client.post(reverse("wagtailadmin_pages:workflow_action", args=[page.pk, "reject", state.pk]), {"comment": "Too long."})
    assert (windows_at(), PolicyVersion.objects.count()) == ([14], 1)


def test_what_cannot_be_published_cannot_be_submitted_either(client, make_page, moderated, windows_at):
    writer, _lawyer = moderated
    page = make_page(guarantee(14, anchor="g"))
    client.force_login(writer)
    page, state = submit(client, page, guarantee(0, anchor="g"))
    assert state is None
    assert windows_at() == [14]


def test_a_writer_cannot_publish_and_nothing_changed(client, make_page, moderated, windows_at):
    writer, _lawyer = moderated
    page = make_page(guarantee(14, anchor="g"))
    client.force_login(writer)
    post(client, page, form(page, guarantee(30, anchor="g")))
    assert (windows_at(), PolicyVersion.objects.count()) == ([14], 1)


# -- schedule -------------------------------------------------------------------------------------------------------


@pytest.fixture
def travel():
    """Move to a moment; the clock goes on from there."""
    journeys = []

    def to(moment):
        journeys.append(time_machine.travel(moment, tick=True))
        journeys[-1].start()

    yield to
    for journey in reversed(journeys):
        journey.stop()


def test_a_draft_scheduled_in_the_form_is_frozen_when_its_time_has_come_and_ends_with_its_expiry(
    client, editor, make_page, windows_at, travel
):
    page = publish(make_page(guarantee(14, anchor="g")))
    times = {"go_live_at": later(days=2).strftime("%Y-%m-%d %H:%M"), "expire_at": later(days=9).strftime("%Y-%m-%d %H:%M")}
    post(client, page, form(page, guarantee(30, anchor="g"), **times))
    assert windows_at() == [14]
    travel(later(days=3))
    call_command("publish_scheduled")
    assert windows_at() == [30]
    travel(later(days=7))
    call_command("publish_scheduled")
    assert windows_at() is None


# -- comments -------------------------------------------------------------------------------------------------------


def test_a_comment_on_a_clause_is_kept_and_makes_no_version(client, editor, make_page):
    page = make_page(guarantee(14, anchor="g"))
    path = f"clauses.{page.clauses[0].id}.window_days"
    comment = {
        "text": "Why 14?",
        "contentpath": path,
        "position": "null",
        "resolved": "",
        "id": "",
        "DELETE": "",
        "replies": inline_formset([]),
    }
    data = form(page, guarantee(14, anchor="g"), comments=inline_formset([comment])) | {"clauses-0-id": page.clauses[0].id}
    post(client, page, data, action="action-save")
    assert list(Comment.objects.values_list("text", "contentpath")) == [("Why 14?", path)]
    assert PolicyVersion.objects.count() == 1
    assert "Why 14?" in client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()


# -- comparison -----------------------------------------------------------------------------------------------------


def compared(client, page):
    first, last = page.revisions.order_by("pk").first(), page.revisions.order_by("pk").last()
    answer = client.get(reverse("wagtailadmin_pages:revisions_compare", args=[page.pk, first.pk, last.pk]))
    assert answer.status_code == 200
    return " ".join(unescape(answer.content.decode()).split())


def test_two_revisions_are_compared_value_by_value(client, editor, make_page):
    page = make_page(guarantee(14, anchor="g"), refused(anchor="final"))
    page.save_revision()
    page.clauses[0].value["window_days"] = 30
    page.clauses[1].value["reason"] = "It was sold at a very final discount."
    page.save_revision()
    text = compared(client, page)
    assert '<span class="deletion">14</span><span class="addition">30</span>' in text
    assert re.search(r'<span class="addition">[^<]*very', text)


def test_clauses_that_were_added_removed_or_not_understood_are_compared(client, editor, make_page):
    page = make_page(FOREIGN, guarantee(14, anchor="g"))
    page.save_revision()
    page = publish(page, FOREIGN, refused("A new one.", anchor="final"))
    text = compared(client, page)
    assert "A new one." in text
    assert "Loyal customers" in text


def test_words_about_clauses_are_compared(client, editor, make_page):
    page = make_page(guarantee(14, anchor="g"), prose={"g": {"body": "We mean it."}})
    page.save_revision()
    page.prose = {"g": {"body": "We really mean it."}}
    page.save_revision()
    assert "really" in compared(client, page)


# -- locks ----------------------------------------------------------------------------------------------------------


def test_a_locked_page_cannot_be_published_by_others_and_nothing_changed(client, editor, make_page, home, windows_at):
    page = make_page(guarantee(14, anchor="g"))
    client.post(reverse("wagtailadmin_pages:lock", args=[page.pk]))
    client.force_login(person("other", group_at(home, "Publishers", "change", "publish")))
    post(client, page, form(page, guarantee(30, anchor="g")))
    assert (windows_at(), PolicyVersion.objects.count()) == ([14], 1)


# -- autosave -------------------------------------------------------------------------------------------------------


def test_autosave_keeps_the_draft_and_makes_no_version_no_text_and_no_event(client, editor, make_page, windows_at):
    page = make_page(guarantee(14, anchor="g"))
    url = reverse("wagtailadmin_pages:edit", args=[page.pk])
    events = Event.objects.count()
    revision = ""
    for days in (20, 25, 0):
        data = form(page, guarantee(days, anchor="g"), intro=f"Now {days}.") | ({"overwrite_revision_id": revision} if revision else {})
        answer = client.post(url, data, headers={"accept": "application/json"})
        assert answer.status_code == 200, answer.content
        revision = json.loads(answer.content)["revision_id"]
    draft = RefundPolicyPage.objects.get(pk=page.pk).get_latest_revision_as_object()
    assert (draft.clauses[0].value["window_days"], draft.intro) == (0, "Now 0.")
    assert windows_at() == [14]
    version = PolicyVersion.objects.get()
    assert version.texts.count() == 0
    assert Event.objects.count() == events


# -- several sites --------------------------------------------------------------------------------------------------


@pytest.fixture
def two_sites(home, store):
    """The default store belongs to the first site; the second one has an editor of its own, and no store of its own yet."""
    store.wagtail_site_id = Site.objects.get().pk
    store.save()
    second = Page.objects.get(depth=1).add_child(instance=Page(title="Second", slug="second", locale=home.locale))
    site = Site.objects.create(hostname="second.example.com", root_page=second)
    return second, site, person("second", group_at(second, "Second", "add", "change", "publish"))


def policy_at(root, *clauses):
    page = RefundPolicyPage(title="Theirs", slug="theirs", clauses=list(clauses))
    root.add_child(instance=page)
    return page


def test_an_editor_of_another_site_cannot_give_a_store_its_policy(client, two_sites, store):
    second, _site, user = two_sites
    client.force_login(user)
    page = policy_at(second, guarantee(90, anchor="g"))
    post(client, page, form(page, guarantee(99, anchor="g")))
    assert policy_for_key(page.policy_key).store is None
    assert document_at(store) is None
    answer = client.post(reverse("refund_policy_use", args=[page.pk]))
    assert answer.status_code in (302, 403)
    assert not Policy.objects.filter(store=store).exists()


def test_an_editor_of_a_site_gives_its_own_store_a_policy(client, two_sites):
    second, site, user = two_sites
    own = Store.objects.create(slug="second", name="Second", wagtail_site_id=site.pk)
    client.force_login(user)
    page = policy_at(second, guarantee(90, anchor="g"))
    assert policy_for_key(page.policy_key).store == own


def test_an_editor_cannot_write_the_policy_of_another_site(client, two_sites, make_page, windows_at):
    page = make_page(guarantee(14, anchor="g"))
    client.force_login(two_sites[2])
    url = reverse("wagtailadmin_pages:edit", args=[page.pk])
    assert client.post(url, {**form(page, guarantee(99, anchor="g")), "action-publish": "1"}).status_code in (302, 403)
    assert windows_at() == [14]


def test_who_may_publish_on_both_sites_can_let_the_store_use_a_policy_of_the_other(client, editor, two_sites, store):
    page = policy_at(two_sites[0], guarantee(90, anchor="g"))
    client.post(reverse("refund_policy_use", args=[page.pk]))
    assert policy_for_key(page.policy_key).store == store
