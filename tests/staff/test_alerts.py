"""The alerts: listed, filtered, looked at with a note, counted in the menu and on the home page."""

from __future__ import annotations

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.refunds.alerts import look_at, raise_alert
from refund_plugin.refunds.models import Alert, Refund
from refund_plugin.refunds.review import approve_request
from refund_plugin.staff.alert_advice import ADVICE
from refund_plugin.staff.alerts import KINDS, alert_url
from refund_plugin.stores.services import ensure_default_store
from tests.factories import make_purchase

pytestmark = pytest.mark.django_db


def raised(why="18.20 EUR came back", kind="refund_returned", **options):
    options.setdefault("store_id", ensure_default_store().pk)
    return raise_alert(kind=kind, key=f"{kind}:{why}", why=why, now=clock.now(), **options)


def shown(client, **query):
    return [alert.why for alert in client.get(reverse("refund_alerts:index"), query).context["object_list"]]


def test_the_list_shows_the_open_ones_newest_first_and_the_others_when_asked(gateway, staff):
    looked, first, second = raised("looked"), raised("first"), raised("second")
    look_at(alert_id=looked.pk, by=SYSTEM, note="Fine.", now=clock.now())

    assert shown(staff) == shown(staff, show="nonsense") == ["second", "first"]
    assert shown(staff, show="looked") == ["looked"]
    assert shown(staff, show="all") == ["second", "first", "looked"]
    assert (first.looked_at, second.looked_at) == (None, None)


def test_every_kind_has_a_name_and_says_what_to_do():
    assert set(ADVICE) == set(KINDS)


def test_an_open_alert_says_what_to_do_about_it(gateway, staff):
    alert = raised(kind="dispute_opened")
    page = staff.get(alert_url(alert)).content.decode()
    assert "Do not refund it as well" in page
    look_at(alert_id=alert.pk, by=SYSTEM, note="Handed in.", now=clock.now())
    assert "Do not refund it as well" not in staff.get(alert_url(alert)).content.decode()


def test_the_list_is_narrowed_by_kind_and_by_words(gateway, staff):
    raised("came back"), raised("by law tomorrow", kind="reimburse_soon")

    assert shown(staff, kind="reimburse_soon") == ["by law tomorrow"]
    assert shown(staff, q="came") == ["came back"]
    assert "No alert matches." in staff.get(reverse("refund_alerts:index"), {"q": "nothing"}).content.decode()


def test_an_empty_list_says_that_nothing_is_to_be_done(gateway, staff):
    assert "Nothing about the money needs a person." in staff.get(reverse("refund_alerts:index")).content.decode()


def test_a_longer_list_costs_no_more_statements(gateway, staff, case, django_assert_num_queries):
    approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())
    raised("first", refund=Refund.objects.get())
    staff.get(reverse("refund_alerts:index"))
    with django_assert_num_queries(12):
        staff.get(reverse("refund_alerts:index"))
    for number in range(20):
        raised(f"more {number}", refund=Refund.objects.get())
    with django_assert_num_queries(12):
        staff.get(reverse("refund_alerts:index"))


def test_an_alert_leads_to_the_case_and_the_order_and_is_settled_with_a_note(case, staff):
    approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())
    refund = Refund.objects.get()
    alert = raised(refund=refund, payment=refund.payment, details={"bank": "Ours <b>"})

    page = staff.get(alert_url(alert)).content.decode()
    assert reverse("refund_cases:case", args=[case.pk]) in page
    assert reverse("refund_purchases:purchase", args=[case.purchase_id]) in page
    assert "The money came back" in page and "Ours &lt;b&gt;" in page

    assert "This field is required" in staff.post(alert_url(alert), {"note": ""}).content.decode()
    staff.post(alert_url(alert), {"note": "Asked for a new account."})

    alert.refresh_from_db()
    assert (alert.looked_by_label, alert.note) == ("sam", "Asked for a new account.") and alert.looked_at
    assert "Asked for a new account." in staff.get(alert_url(alert)).content.decode()


@pytest.mark.parametrize("name", ["dispute", "request", "external"])
def test_whatever_an_alert_is_about_it_leads_there(policy, case, staff, name):
    if name == "request":
        alert, link = raised(details={"request": str(case.pk)}), reverse("refund_cases:case", args=[case.pk])
    elif name == "dispute":
        alert, link = raised(details={"dispute": 7}), reverse("refund_disputes:dispute", args=[7])
    else:
        payment = make_purchase().payments.get()
        alert, link = raised(payment=payment), reverse("refund_purchases:purchase", args=[payment.purchase_id])

    assert link in staff.get(alert_url(alert)).content.decode()


def test_an_alert_of_no_store_and_of_an_unknown_kind_can_be_settled_too(gateway, staff):
    alert = raised(kind="something_new", store_id=None)

    assert "something new" in staff.get(alert_url(alert)).content.decode()
    staff.post(alert_url(alert), {"note": "Seen."})

    assert Alert.objects.get().looked_at


def test_the_second_to_look_is_told_and_the_first_ones_note_stays(gateway, staff, make_user, sign_in):
    alert = raised()
    staff.post(alert_url(alert), {"note": "First."})

    told = sign_in(make_user("tom")).post(alert_url(alert), {"note": "Second."}, follow=True).content.decode()

    assert "sam had looked before you." in told and Alert.objects.get().note == "First."


@pytest.mark.parametrize("permissions", [(), ("approve_refunds",), ("view_cases", "decline_refunds")], ids=["none", "approve", "see"])
def test_who_may_not_settles_nothing(gateway, make_user, sign_in, permissions):
    alert = raised()
    client = sign_in(make_user("other", permissions))

    opened = client.get(alert_url(alert))
    listed = client.get(reverse("refund_alerts:index"))
    client.post(alert_url(alert), {"note": "Seen."})

    sees = "view_cases" in permissions
    assert (opened.status_code == 200) is sees and (listed.status_code == 200) is sees
    assert Alert.objects.get().looked_at is None


def test_the_number_stands_in_the_menu_and_the_newest_on_the_home_page(gateway, staff, make_user, sign_in):
    assert "about refunds" not in staff.get(reverse("wagtailadmin_home")).content.decode()
    for number in range(6):
        raised(f"trouble {number}")

    page = staff.get(reverse("wagtailadmin_home")).content.decode()

    assert "6 alerts about refunds" in page and "Alerts (6)" in page and "Show all of them" in page
    assert "trouble 5" in page and "trouble 0" not in page
    outsider = sign_in(make_user("editor", ())).get(reverse("wagtailadmin_home")).content.decode()
    assert "trouble 5" not in outsider and "Alerts (6)" not in outsider
