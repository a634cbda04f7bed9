"""What an editor sees of a replay in the admin: the button, the report, the list, both answers; and who may not look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import reverse
from wagtail.models import GroupPagePermission, Page, Site

from cms_pages.models import RefundPolicyPage
from refund_plugin import clock
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.memory import _ledgers
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.orders.models import Purchase
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.queries import policy_for_key
from refund_plugin.policies.services import assign_policy
from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.refunds.replay.models import ReplayRun, ReplayState, Shadow, ShadowVerdict
from refund_plugin.refunds.replay.services import replay_due
from refund_plugin.stores.models import Store
from tests.cms_pages.examples import guarantee, refused
from tests.factories import EBOOK, MEMORY, line_with, make_purchase
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db

LIST_STATEMENTS = 10  # of which all but three are the admin's own
QUESTION = "What would this have done?"


@pytest.fixture
def policy_page(settings: Any, make_page: Any) -> RefundPolicyPage:
    """A policy in force, with a stricter draft that was saved and not published; Ada asked for an e-book of 18.20 EUR."""
    settings.REFUND_PLUGIN = MEMORY
    _ledgers.clear()
    ensure_accounts()
    policy_page: RefundPolicyPage = make_page(
        guarantee(30), founding_from=clock.now() - timedelta(days=400), founding_reason="We have always done so."
    )
    now = clock.now()
    ask(make_purchase(lines=[line_with(EBOOK, name="=cmd(1)")], purchased_at=now - timedelta(days=6)), now=now)
    make_purchase(lines=[EBOOK], email="bob@example.com", purchased_at=now - timedelta(days=6))
    policy_page.clauses = [refused(), guarantee(3)]
    policy_page.save_revision()
    return policy_page


def start(client: Any, policy_page: RefundPolicyPage, days: int = 90) -> ReplayRun:
    """Start a replay from its page."""
    assert client.post(reverse("refund_policy_replay", args=[policy_page.pk]), {"days": days}).status_code == 302
    return ReplayRun.objects.latest("pk")


def finished(client: Any, policy_page: RefundPolicyPage) -> ReplayRun:
    """Start one, and let the workers bring it to its end."""
    run = start(client, policy_page)
    while replay_due(clock.now()):
        pass
    run.refresh_from_db()
    assert run.state == ReplayState.DONE
    return run


def shown(client: Any, name: str, *args: int, **query: str) -> str:
    """Return what a page shows."""
    response = client.get(reverse(name, args=args), query)
    assert response.status_code == 200
    return response.content.decode()


def test_the_editor_finds_the_question_above_the_clauses(client, editor, policy_page):
    edit = shown(client, "wagtailadmin_pages:edit", policy_page.pk)
    assert QUESTION in edit
    assert reverse("refund_policy_replay", args=[policy_page.pk]) in edit
    assert "Start the replay" in shown(client, "refund_policy_replay", policy_page.pk)


def test_what_is_replayed_is_the_draft_that_was_saved_last_as_publishing_it_would_freeze_it(client, editor, policy_page):
    run = start(client, policy_page)
    policy_page.get_latest_revision().publish()
    assert PolicyVersion.objects.latest("pk").hash == run.hash


def test_the_report_says_what_changes_for_whom_and_how_much_money(client, editor, policy_page):
    run = finished(client, policy_page)
    report = shown(client, "refund_policy_replay_run", policy_page.pk, run.pk)
    assert "1 of 1 request would have been answered otherwise" in report
    assert "1 customer would newly have got a no." in report
    assert "€18.20 less and €0.00 more would have gone to customers" in report
    assert "from approved to declined" in report
    assert "<title" in report and "So far: 1 approved" in report
    assert "<progress" not in report


def test_while_it_runs_the_page_shows_how_far_it_is_and_can_stop_it(client, editor, policy_page):
    run = start(client, policy_page)
    assert "Waiting for a worker" in shown(client, "refund_policy_replay_run", policy_page.pk, run.pk)
    assert "<progress" in shown(client, "refund_policy_replay_progress", policy_page.pk, run.pk)
    client.get(reverse("refund_policy_replay_stop", args=[policy_page.pk, run.pk]))
    run.refresh_from_db()
    assert run.state == ReplayState.RUNNING
    client.post(reverse("refund_policy_replay_stop", args=[policy_page.pk, run.pk]))
    run.refresh_from_db()
    assert run.state == ReplayState.CANCELED
    assert "<progress" not in shown(client, "refund_policy_replay_progress", policy_page.pk, run.pk)


def test_the_list_is_filtered_by_answer_and_leads_to_both_answers_in_words(client, editor, policy_page):
    run = finished(client, policy_page)
    listing = shown(client, "refund_policy_replay_changes", policy_page.pk, run.pk, kind="requests", before="approve", after="decline")
    change = run.changes.get(kind="requests")
    address = reverse("refund_policy_replay_change", args=[policy_page.pk, run.pk, change.pk])
    assert address in listing
    assert address not in shown(client, "refund_policy_replay_results", policy_page.pk, run.pk, before="decline")
    assert address not in shown(client, "refund_policy_replay_results", policy_page.pk, run.pk, amount="true")
    both = shown(client, "refund_policy_replay_change", policy_page.pk, run.pk, change.pk)
    assert "So far: approved, €18.20" in both
    assert "This draft: declined" in both
    assert "3 days" in both
    assert reverse("refund_cases:case", args=[change.request_id]) in both


@pytest.mark.parametrize("more", [0, 20])
def test_the_list_costs_the_same_statements_however_long(client, editor, policy_page, django_assert_num_queries, more):
    now = clock.now()
    for number in range(more):
        make_purchase(lines=[EBOOK], email=f"{number}@example.com", purchased_at=now - timedelta(days=6))
    run = finished(client, policy_page)
    address = reverse("refund_policy_replay_results", args=[policy_page.pk, run.pk])
    client.get(address)
    with django_assert_num_queries(LIST_STATEMENTS):
        client.get(address)


def test_no_cell_of_the_file_is_taken_for_a_formula(client, editor, policy_page):
    run = finished(client, policy_page)
    text = client.get(reverse("refund_policy_replay_file", args=[policy_page.pk, run.pk])).getvalue().decode()
    assert "'=cmd(1)" in text
    assert ",approve,decline,EUR,18.20,0.00" in text


def test_a_draft_without_clauses_is_told_and_not_replayed(client, editor, policy_page):
    policy_page.clauses = []
    policy_page.save_revision()
    response = client.post(reverse("refund_policy_replay", args=[policy_page.pk]), {"days": 30}, follow=True)
    assert "Add at least one" in " ".join(str(message) for message in response.context["messages"])
    assert not ReplayRun.objects.exists()


def test_a_period_that_is_not_offered_is_told(client, editor, policy_page):
    assert client.post(reverse("refund_policy_replay", args=[policy_page.pk]), {"days": 100_000}).status_code == 200
    assert not ReplayRun.objects.exists()


# -- silent drafts --------------------------------------------------------------------------------------------------


@pytest.fixture
def shadow(client: Any, editor: Any, policy_page: RefundPolicyPage) -> Shadow:
    """The stricter draft decides silently."""
    run = finished(client, policy_page)
    client.post(reverse("refund_policy_shadow_start", args=[policy_page.pk, run.pk]), {"days": 14})
    return Shadow.objects.get()


def test_a_silent_draft_reports_where_it_disagrees_and_is_stopped_by_a_button(client, policy_page, shadow):
    assert "No request was decided beside it yet" in shown(client, "refund_policy_shadow", policy_page.pk, shadow.pk)
    now = clock.now()
    ask(make_purchase(lines=[line_with(EBOOK, name="=cmd(1)")], purchased_at=now - timedelta(days=6)), now=now)
    while deliver_due():
        pass
    report = shown(client, "refund_policy_shadow", policy_page.pk, shadow.pk)
    assert "It disagrees with 1 of 1 decision" in report
    assert "from approved to declined" in report
    said = ShadowVerdict.objects.get()
    address = reverse("refund_policy_shadow_answer", args=[policy_page.pk, shadow.pk, said.pk])
    assert address in shown(client, "refund_policy_shadow_answers", policy_page.pk, shadow.pk, differs="true")
    assert address not in shown(client, "refund_policy_shadow_results", policy_page.pk, shadow.pk, differs="false")
    assert "This draft: declined" in shown(client, "refund_policy_shadow_answer", policy_page.pk, shadow.pk, said.pk)
    text = client.get(reverse("refund_policy_shadow_file", args=[policy_page.pk, shadow.pk])).getvalue().decode()
    assert "'=cmd(1)" in text
    client.post(reverse("refund_policy_shadow_stop", args=[policy_page.pk, shadow.pk]))
    shadow.refresh_from_db()
    assert shadow.stopped_at is not None
    assert "It decided silently from" in shown(client, "refund_policy_shadow", policy_page.pk, shadow.pk)


@pytest.mark.parametrize("days", ["0", "91", "many", ""])
def test_a_silent_draft_without_an_end_in_reach_is_refused(client, editor, policy_page, days):
    run = finished(client, policy_page)
    client.post(reverse("refund_policy_shadow_start", args=[policy_page.pk, run.pk]), {"days": days})
    assert not Shadow.objects.exists()


# -- who may --------------------------------------------------------------------------------------------------------


def everything() -> list[Any]:
    """All that these pages could change."""
    return [list(model.objects.order_by("pk").values()) for model in (ReplayRun, Shadow, RefundRequest, Decision, Refund)]


@pytest.fixture
def sign_in(client: Any, home: Any, django_user_model: Any) -> Any:
    """Sign in someone who may use the admin and has this permission on the pages below the front page."""

    def enter(permission: str) -> None:
        group = Group.objects.create(name="Writers")
        group.permissions.add(Permission.objects.get(content_type__app_label="wagtailadmin", codename="access_admin"))
        if permission:
            GroupPagePermission.objects.create(group=group, page=home, permission_type=permission)
        user = django_user_model.objects.create_user("writer", "writer@example.com", "secret")
        user.groups.add(group)
        client.force_login(user)

    return enter


def addresses(policy_page: RefundPolicyPage, shadow: Shadow) -> list[str]:
    """Every page and button."""
    run = ReplayRun.objects.get()
    change = run.changes.first()
    assert change is not None
    of_run = ["run", "progress", "stop", "changes", "results", "file"]
    of_shadow = ["", "_stop", "_answers", "_results", "_file"]
    return [
        reverse("refund_policy_replay", args=[policy_page.pk]),
        *(reverse(f"refund_policy_replay_{name}", args=[policy_page.pk, run.pk]) for name in of_run),
        reverse("refund_policy_replay_change", args=[policy_page.pk, run.pk, change.pk]),
        reverse("refund_policy_shadow_start", args=[policy_page.pk, run.pk]),
        *(reverse(f"refund_policy_shadow{name}", args=[policy_page.pk, shadow.pk]) for name in of_shadow),
    ]


@pytest.mark.parametrize("method", ["get", "post"])
def test_who_may_not_edit_the_page_sees_and_changes_nothing(client, policy_page, shadow, sign_in, method):
    sign_in("")
    before = everything()
    for address in addresses(policy_page, shadow):
        response = getattr(client, method)(address, {"days": 30})
        assert response.status_code in (302, 405), address
        if response.status_code == 302:
            assert response["Location"] == reverse("wagtailadmin_home"), address
    assert everything() == before


def test_an_editor_of_the_page_replays_without_a_permission_on_cases_and_is_led_to_none(client, policy_page, sign_in):
    sign_in("change")
    run = finished(client, policy_page)
    change = run.changes.get(kind="requests")
    both = shown(client, "refund_policy_replay_change", policy_page.pk, run.pk, change.pk)
    assert "This draft: declined" in both
    assert reverse("refund_cases:case", args=[change.request_id]) not in both
    assert "ada@example.com" not in both


@pytest.fixture
def foreign_page(client, editor, policy_page, store, home, sign_in):
    """A policy page of a second site, which has no shop of its own, with an editor; what was sold belongs to the first site."""
    store.wagtail_site_id = Site.objects.get().pk
    store.save()
    second = Page.objects.get(depth=1).add_child(instance=Page(title="Second", slug="second", locale=home.locale))
    Site.objects.create(hostname="second.example.com", root_page=second)
    page = second.add_child(instance=RefundPolicyPage(title="Theirs", slug="theirs", clauses=[guarantee(3)]))
    sign_in("change")
    GroupPagePermission.objects.create(group=Group.objects.get(name="Writers"), page=second, permission_type="change")
    GroupPagePermission.objects.filter(page=home).delete()
    return page


def test_an_editor_of_another_site_does_not_read_what_a_store_of_this_one_sold(client, foreign_page):
    assert client.get(reverse("wagtailadmin_pages:edit", args=[foreign_page.pk])).status_code == 200
    before = everything()
    address = reverse("refund_policy_replay", args=[foreign_page.pk])
    for response in (client.get(address), client.post(address, {"days": 30})):
        assert (response.status_code, response["Location"]) == (302, reverse("wagtailadmin_home"))
    assert everything() == before
    assert address not in shown(client, "wagtailadmin_pages:edit", foreign_page.pk)


def test_a_page_of_another_site_that_a_store_was_given_as_its_policy_may_be_replayed(client, store, foreign_page):
    assign_policy(policy=policy_for_key(foreign_page.policy_key), store=store, now=clock.now(), by="")
    assert start(client, foreign_page).store == store


def test_whose_order_it_was_is_told_to_those_only_who_may_read_cases(client, editor, policy_page, shadow, sign_in):
    now = clock.now()
    ask(make_purchase(number="ORDER-TWO", lines=[line_with(EBOOK, name="=cmd(1)")], purchased_at=now - timedelta(days=6)), now=now)
    while deliver_due():
        pass
    run = ReplayRun.objects.get()
    change, verdict = run.changes.get(kind="requests"), ShadowVerdict.objects.get()
    Purchase.objects.filter(pk=change.line.purchase_id).update(number="ORDER-ONE")
    names = {"ORDER-ONE", "ORDER-TWO", *RefundRequest.objects.values_list("reference", flat=True)}
    of_run, of_shadow = (policy_page.pk, run.pk), (policy_page.pk, shadow.pk)

    def told() -> list[bool]:
        pages = [
            shown(client, "refund_policy_replay_changes", *of_run),
            shown(client, "refund_policy_replay_change", *of_run, change.pk),
            shown(client, "refund_policy_shadow_answers", *of_shadow),
            shown(client, "refund_policy_shadow_answer", *of_shadow, verdict.pk),
        ]
        for name, args in (("replay", of_run), ("shadow", of_shadow)):
            answer = client.get(reverse(f"refund_policy_{name}_file", args=args))
            pages.append(b"".join(answer.streaming_content).decode())
        assert all("=cmd(1)" in page for page in pages)
        return [any(name in page for name in names) for page in pages]

    assert told() == [True] * 6
    sign_in("change")
    assert told() == [False] * 6


def test_a_replay_of_another_policy_or_store_is_not_found(client, editor, policy_page, make_page):
    run = finished(client, policy_page)
    other = make_page(guarantee(14), slug="other")
    assert client.get(reverse("refund_policy_replay_run", args=[other.pk, run.pk])).status_code == 404
    site = Site.objects.get()
    Store.objects.create(slug="second", name="Second", timezone="UTC", wagtail_site_id=site.pk)
    assert client.get(reverse("refund_policy_replay_run", args=[policy_page.pk, run.pk])).status_code == 404


def test_other_pages_and_translations_have_no_replay(client, editor, home, policy_page):
    assert client.get(reverse("refund_policy_replay", args=[home.pk])).status_code == 404
    alias = policy_page.create_alias(update_slug="alias")
    assert client.get(reverse("refund_policy_replay", args=[alias.pk])).status_code == 404
