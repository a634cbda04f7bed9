"""The refund policy page, and the words of the checkout.

With a swapped `Page` there is no page to make: such a site derives its own from the mixin, in its own app.
"""

import uuid

import django.core.validators
import django.db.models.deletion
import wagtail.contrib.routable_page.models
import wagtail.models.preview
from django.conf import settings
from django.db import migrations, models

import cms_pages.fields
import cms_pages.prose

PAGE_IS_SWAPPED = getattr(settings, "WAGTAIL_PAGE_MODEL", "wagtailcore.Page") != "wagtailcore.Page"


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("wagtailcore", "0098_apitoken"),
    ]

    operations = (
        []
        if PAGE_IS_SWAPPED
        else [
            migrations.CreateModel(
                name="RefundPolicyPage",
                fields=[
                    (
                        "page_ptr",
                        models.OneToOneField(
                            auto_created=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            parent_link=True,
                            primary_key=True,
                            serialize=False,
                            to=settings.WAGTAIL_PAGE_MODEL,
                        ),
                    ),
                    (
                        "intro",
                        models.TextField(
                            blank=True,
                            help_text="A sentence or two above the clauses. Leave a line empty between paragraphs.",
                            verbose_name="introduction",
                        ),
                    ),
                    (
                        "clauses",
                        cms_pages.fields.ClausesField(
                            blank=True,
                            help_text="Read from the top: the first clause that applies to a product decides.",
                            verbose_name="clauses",
                        ),
                    ),
                    (
                        "limits",
                        cms_pages.fields.LimitsField(
                            blank=True,
                            help_text="A currency without a limit is paid without a person whatever the amount.",
                            verbose_name="limits for paying without a person",
                        ),
                    ),
                    (
                        "prose",
                        cms_pages.prose.ProseField(
                            help_text="Optional words below the text that is made from a clause's values. A new clause appears here when you have saved.",
                            verbose_name="texts of the clauses",
                        ),
                    ),
                    (
                        "effective_from",
                        models.DateTimeField(
                            blank=True,
                            help_text="Purchases from this time on are judged by these clauses. Empty or past: from the moment of publishing.",
                            null=True,
                            verbose_name="in force from",
                        ),
                    ),
                    (
                        "founding_from",
                        models.DateTimeField(
                            blank=True,
                            help_text="For the first version only: purchases made before you published follow it too. Otherwise a person decides them.",
                            null=True,
                            verbose_name="also for purchases since",
                        ),
                    ),
                    (
                        "founding_reason",
                        models.CharField(
                            blank=True,
                            help_text="Kept with the version, and shown in its history.",
                            max_length=500,
                            verbose_name="reason for dating it back",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "refund policy",
                    "verbose_name_plural": "refund policies",
                },
                bases=(wagtail.contrib.routable_page.models.RoutablePageMixin, "wagtailcore.page", models.Model),
            ),
        ]
    ) + [
        migrations.CreateModel(
            name="ConsentWording",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("translation_key", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("live", models.BooleanField(default=True, editable=False, verbose_name="live")),
                ("has_unpublished_changes", models.BooleanField(default=False, editable=False, verbose_name="has unpublished changes")),
                ("first_published_at", models.DateTimeField(blank=True, db_index=True, null=True, verbose_name="first published at")),
                ("last_published_at", models.DateTimeField(editable=False, null=True, verbose_name="last published at")),
                ("go_live_at", models.DateTimeField(blank=True, null=True, verbose_name="go live date/time")),
                ("expire_at", models.DateTimeField(blank=True, null=True, verbose_name="expiry date/time")),
                ("expired", models.BooleanField(default=False, editable=False, verbose_name="expired")),
                (
                    "nature",
                    models.CharField(
                        choices=[("content", "digital content"), ("service", "digital service")],
                        default="content",
                        max_length=10,
                        verbose_name="asked about",
                    ),
                ),
                (
                    "introduction",
                    models.TextField(
                        help_text="What this is about, above the two boxes: that people may withdraw within 14 days, and that they choose here.",
                        validators=[django.core.validators.MaxLengthValidator(1000)],
                        verbose_name="introduction",
                    ),
                ),
                (
                    "agreement",
                    models.CharField(
                        help_text="The law asks for the express wish that it begins before the time to withdraw is over: “Give me access at once …”.",
                        max_length=400,
                        verbose_name="first box: the wish",
                    ),
                ),
                (
                    "acknowledgement",
                    models.CharField(
                        help_text="The law asks that people know what this ends. For content: the right to withdraw is lost with it. For a service: what was provided is paid for, and the right ends when all of it was.",
                        max_length=400,
                        verbose_name="second box: what it ends",
                    ),
                ),
                (
                    "latest_revision",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="wagtailcore.revision",
                        verbose_name="latest revision",
                    ),
                ),
                (
                    "live_revision",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="wagtailcore.revision",
                        verbose_name="live revision",
                    ),
                ),
                (
                    "locale",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wagtailcore.locale",
                        verbose_name="locale",
                    ),
                ),
            ],
            options={
                "verbose_name": "consent wording",
                "verbose_name_plural": "consent wordings",
                "abstract": False,
                "unique_together": {("translation_key", "locale")},
            },
            bases=(wagtail.models.preview.PreviewableMixin, models.Model),
        ),
    ]
