"""What saving a policy page does to the policy: freeze, close, add a translation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wagtail.blocks.stream_block import StreamValue

from cms_pages.documents import document_of
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.queries import Texts
from refund_plugin.policies.services import add_text, close_policy, freeze_policy
from refund_plugin.rules import dump_document
from refund_plugin.stores.models import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What the live row of a source-language page holds.

    Attributes:
        key: the page's translation key.
        texts: by locale, the prose of this page and of its live translations.
    """

    key: str
    title: str
    clauses: StreamValue
    limits: StreamValue
    effective_from: datetime | None
    founding_from: datetime | None
    founding_reason: str
    texts: dict[str, Texts]


def freeze_publication(publication: Publication, *, store: Store | None, now: datetime, by: str) -> PolicyVersion:
    """Freeze what was published. Never raises on content, or a host's whole run of scheduled publishing would end.

    Args:
        store: takes its verdicts from this policy if it takes them from none yet; None when the page must not decide that.
    """
    document = document_of(publication.clauses, publication.limits)
    # a founding date without its reason is told in the form; here it only has no effect
    founding = publication.founding_from if publication.founding_reason.strip() else None
    version = freeze_policy(
        key=publication.key,
        title=publication.title,
        document=dump_document(document),
        now=now,
        effective_from=publication.effective_from,
        by=by,
        assign_to=store,
        founding_from=founding,
        founding_reason=publication.founding_reason,
    )
    for locale, texts in publication.texts.items():
        add_text(version=version, locale=locale, texts=texts, now=now)
    return version


def publish_translation(*, key: str, locale: str, texts: Texts, now: datetime) -> None:
    """Add a translation's prose to the newest version that is open; there may be none yet."""
    version = PolicyVersion.objects.filter(policy__key=key, closed_at__isnull=True).order_by("-number").first()
    if version is not None:
        add_text(version=version, locale=locale, texts=texts, now=now)


def close_publication(*, key: str, now: datetime) -> None:
    """End the policy: the page is not public any more."""
    close_policy(key=key, now=now)
