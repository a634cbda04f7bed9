"""A small site with a refund policy page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from wagtail.models import GroupPagePermission, Locale, Page, Site

from cms_pages.models import RefundPolicyPage
from refund_plugin.rules import register_fact, unregister_fact
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store
from tests.cms_pages.examples import document_at


@pytest.fixture
def store(db: None) -> Store:
    return ensure_default_store()


@pytest.fixture
def home(store: Store) -> Page:
    """The front page of the default site."""
    locale, _made = Locale.objects.get_or_create(language_code="en")
    root = Page.objects.filter(depth=1).first() or Page.add_root(title="Root", slug="root", locale=locale)
    page: Page = root.add_child(instance=Page(title="Shop", slug="shop-front", locale=locale))
    Site.objects.all().delete()
    Site.objects.create(hostname="testserver", root_page=page, is_default_site=True)
    return page


@pytest.fixture
def make_page(home: Page) -> Callable[..., RefundPolicyPage]:
    """Make a policy page below the front page, live unless told otherwise."""

    def make(*clauses: dict[str, Any], slug: str = "refund-policy", title: str = "Refunds", **fields: Any) -> RefundPolicyPage:
        page = RefundPolicyPage(title=title, slug=slug, clauses=list(clauses), **fields)
        home.add_child(instance=page)
        return page

    return make


@pytest.fixture
def editor(db: None, client: Any) -> Any:
    """Someone who may do everything, logged in with `client`."""
    user = get_user_model().objects.create_superuser("editor", "editor@example.com", "secret")
    client.force_login(user)
    return user


@pytest.fixture
def writer(home: Page, client: Any) -> Any:
    """Someone who may change pages and not publish them, logged in with `client`."""
    group = Group.objects.create(name="Writers")
    GroupPagePermission.objects.create(group=group, page=home, permission_type="change")
    group.permissions.add(Permission.objects.get(content_type__app_label="wagtailadmin", codename="access_admin"))
    user = get_user_model().objects.create_user("writer", "writer@example.com", "secret")
    user.groups.add(group)
    client.force_login(user)
    return user


@pytest.fixture
def exams() -> Iterator[None]:
    """A fact that a plug-in registered and nobody can tell."""
    register_fact("exams_taken", "Exams taken")
    yield
    unregister_fact("exams_taken")


@pytest.fixture
def windows_at(store: Store) -> Callable[..., list[int] | None]:
    """Tell the windows of the version that decides what the default store sells; None when a person decides."""

    def tell(moment: datetime | None = None) -> list[int] | None:
        document = document_at(store, moment)
        return None if document is None else [clause.window_days for clause in document.clauses]  # type: ignore[attr-defined]

    return tell
