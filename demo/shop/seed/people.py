"""The four logins, one for each kind of person the product serves."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import Group, User

from refund_plugin.staff.setup import GROUP_NAME as REFUND_STAFF
from refund_plugin.staff.setup import ensure_staff_group


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who can log in, with the password `demo-<username>`."""

    username: str
    first_name: str
    last_name: str
    email: str
    groups: tuple[str, ...] = ()
    superuser: bool = False


PEOPLE = (
    Person("merchant", "Maren", "Voss", "maren@paperheron.example", superuser=True),
    Person("editor", "Eli", "Okafor", "eli@paperheron.example", groups=("Editors", "Moderators")),
    Person("staff", "Sam", "Lindqvist", "sam@paperheron.example", groups=(REFUND_STAFF,)),
    Person("customer", "Robin", "Sommer", "robin@example.com"),
)


def seed_people() -> dict[str, User]:
    """Return the users by name, made where they are missing."""
    ensure_staff_group()
    users = {}
    for person in PEOPLE:
        user, made = User.objects.get_or_create(
            username=person.username,
            defaults={
                "first_name": person.first_name,
                "last_name": person.last_name,
                "email": person.email,
                "is_staff": person.superuser,
                "is_superuser": person.superuser,
            },
        )
        if made:
            user.set_password(f"demo-{person.username}")
            user.save(update_fields=["password"])
            user.groups.set(Group.objects.filter(name__in=person.groups))
        users[person.username] = user
    return users
