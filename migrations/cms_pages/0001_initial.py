"""The refund policy page.

With a swapped `Page` there is nothing to make: such a site derives its own page from the mixin, in its own app.
"""

import django.db.models.deletion
import wagtail.contrib.routable_page.models
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
    )
