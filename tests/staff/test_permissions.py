"""Who may do what: a matrix through the doors, and the authority that the services see."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.people import approval_limits, staff_actor
from refund_plugin.refunds.review import approve_request
from refund_plugin.staff.permissions import ACTIONS
from refund_plugin.staff.setup import GROUP_NAME, ensure_staff_group
from refund_plugin.staff.verbs import seen_stamp
from tests.factories import MEMORY, make_purchase
from tests.staff.helpers import do, verb_url, whole_state

pytestmark = pytest.mark.django_db

NEEDED = {"approve": "approve_refunds", "decline": "decline_refunds", "ask": "ask_evidence"}
PERMISSION_SETS = [
    (),
    ("view_cases",),
    ("approve_refunds",),
    ("view_cases", "approve_refunds"),
    ("view_cases", "decline_refunds"),
    ("view_cases", "ask_evidence"),
    ("approve_refunds", "decline_refunds", "ask_evidence"),
    ("view_cases", "approve_refunds", "decline_refunds", "ask_evidence"),
]


@pytest.mark.parametrize("verb", NEEDED)
@pytest.mark.parametrize("permissions", PERMISSION_SETS, ids=lambda p: "+".join(p) or "none")
def test_a_verb_needs_its_own_permission_and_sight_of_the_case(case, make_user, sign_in, permissions, verb):
    client = sign_in(make_user(permissions=permissions))
    allowed = "view_cases" in permissions and NEEDED[verb] in permissions
    before = whole_state(case)

    opened = client.get(verb_url(verb, case))
    do(client, verb, case, reason="Why.", question="Why?", **{f"amount_{case.lines.get().line_id}": "1.00"})

    assert (opened.status_code == 200) is allowed
    assert (whole_state(case) != before) is allowed


@pytest.mark.parametrize("permissions", [(), ("approve_refunds", "decline_refunds", "ask_evidence")], ids=["none", "verbs only"])
@pytest.mark.parametrize("name", ["refund_cases:index", "refund_cases:index_results", "refund_purchases:index", "case", "purchase"])
def test_without_the_permission_to_see_cases_no_page_opens(case, make_user, sign_in, permissions, name):
    urls = {
        "case": reverse("refund_cases:case", args=[case.pk]),
        "purchase": reverse("refund_purchases:purchase", args=[case.purchase_id]),
    }
    response = sign_in(make_user(permissions=permissions)).get(urls.get(name) or reverse(name))

    assert response.status_code == 302
    assert response["Location"] == reverse("wagtailadmin_home")


def test_people_without_the_admin_are_sent_to_its_login(case):
    get_user_model().objects.create_user("ada", "ada@example.com", "secret")
    client = Client()
    client.login(username="ada", password="secret")

    response = client.get(reverse("refund_cases:case", args=[case.pk]))

    assert reverse("wagtailadmin_login") in response["Location"]


def test_a_form_without_its_csrf_token_is_refused_and_nothing_changed(case, make_user, sign_in):
    client = sign_in(make_user(), enforce_csrf_checks=True)
    before = whole_state(case)

    response = client.post(verb_url("decline", case), {"seen": seen_stamp(case), "reason": "Why."})

    assert response.status_code == 403
    assert whole_state(case) == before


def test_buttons_are_shown_only_to_those_who_may_press_them(case, make_user, sign_in):
    url = reverse("refund_cases:case", args=[case.pk])

    looking = sign_in(make_user("looking", ["view_cases"])).get(url).content.decode()
    declining = sign_in(make_user("declining", ["view_cases", "decline_refunds"])).get(url).content.decode()

    assert 'data-a11y-dialog-show="refund-' not in looking and "not decide them" in looking
    assert 'data-a11y-dialog-show="refund-decline"' in declining
    assert 'data-a11y-dialog-show="refund-approve"' not in declining


def test_nobody_decides_their_own_request(make_case, make_user, sign_in):
    user = make_user()
    case = make_case(user_id=user.pk)
    before = whole_state(case)

    response = do(sign_in(user), "approve", case, reason="I earned it.", **{f"amount_{case.lines.get().line_id}": "18.20"})

    assert "a colleague has to decide it" in response.content.decode()
    assert whole_state(case) == before


@pytest.mark.parametrize("spelling", ["sam@example.com", " Sam@Example.COM "])
def test_nobody_decides_about_what_they_bought_as_a_guest(make_case, make_user, sign_in, spelling):
    user = make_user("sam")
    user.email = spelling
    user.save()
    case = make_case(email="sam@example.com")
    before = whole_state(case)

    for verb, answer in (("approve", {f"amount_{case.lines.get().line_id}": "18.20"}), ("decline", {})):
        response = do(sign_in(user), verb, case, reason="I earned it.", **answer)
        assert "a colleague has to decide it" in response.content.decode()
    assert whole_state(case) == before


def test_staff_without_an_address_decide_as_before_and_the_address_is_not_shown(make_case, make_user):
    user = make_user("sam")
    assert user.email not in repr(staff_actor(user, make_case().store))
    user.email = ""
    case = make_case()
    approve_request(request_id=case.pk, by=staff_actor(user, case.store), reason="Fine.", now=clock.now())
    assert Refund.objects.count() == 1


@pytest.fixture
def limited(settings, make_user):
    """Someone in a group that may approve up to ten euro."""
    settings.REFUND_PLUGIN = {**MEMORY, "STAFF_LIMITS": {"Refund staff": {"EUR": 1000}}}
    user = make_user(permissions=())
    user.groups.add(ensure_staff_group() or Group.objects.get(name=GROUP_NAME))
    return user


def test_an_amount_above_ones_limit_is_refused_with_the_limit_and_a_way_on(case, limited, sign_in):
    client, field = sign_in(limited), f"amount_{case.lines.get().line_id}"
    before = whole_state(case)

    above = do(client, "approve", case, reason="Fine.", **{field: "10.01"}).content.decode()

    assert "You may approve up to 10.00 EUR. Ask a colleague with a higher limit." in above
    assert whole_state(case) == before
    do(client, "approve", case, reason="Fine.", **{field: "10.00"})
    assert Refund.objects.get().amount_minor == 1000


def test_the_case_page_tells_ones_limit(case, limited, sign_in):
    assert "You may approve up to €10.00 in all." in sign_in(limited).get(reverse("refund_cases:case", args=[case.pk])).content.decode()


def test_the_highest_of_the_named_groups_counts(settings, limited):
    settings.REFUND_PLUGIN = {**MEMORY, "STAFF_LIMITS": {GROUP_NAME: {"EUR": 1000, "USD": 500}, "Seniors": {"EUR": 9000}}}
    limited.groups.add(Group.objects.create(name="Seniors"), Group.objects.create(name="Editors of news"))

    assert approval_limits(limited) == {"EUR": 9000}


def test_a_group_that_may_approve_and_has_no_limit_lifts_it(limited):
    leads = Group.objects.create(name="Refund leads")
    leads.permissions.add(Permission.objects.get(codename="approve_refunds"))
    limited.groups.add(leads)

    assert approval_limits(limited) == {}


def test_a_superuser_has_every_action_and_no_limit(case, limited):
    limited.is_superuser = True

    actor = staff_actor(limited, case.store)

    assert actor.actions == set(Action)
    assert actor.limit_minor == {}


def test_migrate_makes_the_group_once_with_the_admin_and_every_action(db):
    Group.objects.filter(name=GROUP_NAME).delete()

    group = ensure_staff_group()

    assert set(group.permissions.values_list("codename", flat=True)) == {action.value for action in ACTIONS} | {"access_admin"}
    assert ensure_staff_group() is None


def test_a_renamed_or_reduced_group_is_left_as_it_is(db):
    Group.objects.filter(name=GROUP_NAME).delete()
    group = ensure_staff_group()
    group.permissions.remove(Permission.objects.get(codename="approve_refunds"))
    Group.objects.filter(pk=group.pk).update(name="Helpers")

    assert ensure_staff_group() is None
    assert not Group.objects.filter(name=GROUP_NAME).exists()
    assert not group.permissions.filter(codename="approve_refunds").exists()


def test_an_upgrade_gives_the_group_the_new_actions_and_not_those_that_were_taken_from_it(db):
    group = Group.objects.filter(name=GROUP_NAME).first() or ensure_staff_group()
    group.permissions.remove(Permission.objects.get(codename="approve_refunds"))
    Permission.objects.filter(codename__in=["manage_brake", "view_books"]).delete()  # as before the version that brought them

    call_command("migrate", verbosity=0)

    held = set(group.permissions.values_list("codename", flat=True))
    assert {"manage_brake", "view_books", "view_cases", "access_admin"} <= held
    assert "approve_refunds" not in held


def test_what_was_taken_from_the_group_stays_taken_at_the_next_migrate(db):
    group = Group.objects.filter(name=GROUP_NAME).first() or ensure_staff_group()
    group.permissions.remove(*Permission.objects.filter(codename__in=["manage_brake", "pay_by_hand"]))

    call_command("migrate", verbosity=0)

    assert not group.permissions.filter(codename__in=["manage_brake", "pay_by_hand"]).exists()


def test_an_upgrade_gives_nothing_to_groups_that_merchants_made_themselves(db):
    Group.objects.filter(name=GROUP_NAME).delete()
    helpers = Group.objects.create(name="Helpers")
    helpers.permissions.add(Permission.objects.get(codename="view_cases"))
    Permission.objects.filter(codename="manage_brake").delete()

    call_command("migrate", verbosity=0)

    assert set(helpers.permissions.values_list("codename", flat=True)) == {"view_cases"}
    assert not Group.objects.filter(name=GROUP_NAME).exists()


def test_the_groups_form_of_the_admin_offers_our_permissions(sign_in, make_user):
    admin = make_user("root")
    admin.is_superuser = True
    admin.save()

    page = sign_in(admin).get(reverse("wagtailusers_groups:add")).content.decode()

    assert "Can approve refunds" in page and "Can see refund requests and purchases" in page


def test_asking_on_a_customers_behalf_needs_the_permission_to_approve(policy, make_user, sign_in):
    purchase = make_purchase()
    url = reverse("refund_purchases:purchase", args=[purchase.pk])
    client = sign_in(make_user(permissions=["view_cases", "decline_refunds"]))

    page = client.get(url)
    client.post(url, {"reason": "other", "submission_key": "k", f"quantity_{purchase.lines.get().pk}": 1})

    assert page.context["form"] is None
    assert not RefundRequest.objects.exists()
