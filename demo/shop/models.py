"""Pages of the shop: what it had before the refund plugin came."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.http import HttpRequest
from wagtail.admin.panels import FieldPanel, FieldRowPanel, MultiFieldPanel
from wagtail.fields import RichTextField
from wagtail.models import Page

RICH_TEXT = ["h2", "h3", "bold", "italic", "link", "ol", "ul"]


class ProductType(models.TextChoices):
    """The kinds of goods on sale; also the word by which the policy's clauses select them."""

    EBOOK = "ebook", "E-book"
    COURSE = "course", "Course"
    PLUGIN = "plugin", "Plug-in"
    SUBSCRIPTION = "subscription", "Subscription"


class HomePage(Page):
    """The front of the shop, with every product on it."""

    lede = models.CharField(max_length=200, blank=True)

    content_panels = [*Page.content_panels, FieldPanel("lede")]
    max_count = 1
    template = "shop/home.html"

    def get_context(self, request: HttpRequest, *args: object, **kwargs: object) -> dict[str, object]:
        """Add the products, in the order of the tree."""
        context: dict[str, object] = super().get_context(request, *args, **kwargs)
        context["products"] = ProductPage.objects.live().descendant_of(self)
        return context


class StandardPage(Page):
    """A page of text."""

    body = RichTextField(blank=True, features=RICH_TEXT)

    content_panels = [*Page.content_panels, FieldPanel("body")]
    template = "shop/standard.html"


class ProductPage(Page):
    """One thing on sale; prices include tax."""

    sku = models.CharField("SKU", max_length=40, unique=True)
    product_type = models.CharField(max_length=20, choices=ProductType)
    author = models.CharField(max_length=100, blank=True)
    blurb = models.CharField(max_length=200)
    body = RichTextField(blank=True, features=RICH_TEXT)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3, default="EUR")
    tax_rate_percent = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal("19"))
    is_service = models.BooleanField("a service, not content", default=False)
    final_sale = models.BooleanField(default=False, help_text="Sold at a price that excludes refunds.")
    lessons = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Courses only.")
    term_months = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Subscriptions only.")
    cover = models.SlugField(help_text="Name of a drawing in static/shop/covers, without .svg.")

    content_panels = [
        *Page.content_panels,
        MultiFieldPanel(
            [FieldRowPanel([FieldPanel("sku"), FieldPanel("product_type")]), FieldPanel("author"), FieldPanel("cover")], heading="Product"
        ),
        MultiFieldPanel(
            [
                FieldRowPanel([FieldPanel("price"), FieldPanel("currency"), FieldPanel("tax_rate_percent")]),
                FieldRowPanel([FieldPanel("is_service"), FieldPanel("final_sale")]),
                FieldRowPanel([FieldPanel("lessons"), FieldPanel("term_months")]),
            ],
            heading="Price and terms",
        ),
        FieldPanel("blurb"),
        FieldPanel("body"),
    ]
    template = "shop/product.html"
    subpage_types: list[str] = []

    @property
    def cover_path(self) -> str:
        """Where the drawing stands among the static files."""
        return f"shop/covers/{self.cover}.svg"

    @property
    def tags(self) -> list[str]:
        """What the policy's clauses may select besides type and SKU."""
        return ["final-sale"] if self.final_sale else []


class LockedCopies(models.Model):
    """How many copies of one bought line may not be opened, because their money is on the way back or has gone."""

    line_id = models.PositiveBigIntegerField(primary_key=True)
    frozen = models.PositiveIntegerField()
    revoked = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.line_id}: {self.frozen} frozen, {self.revoked} revoked"
