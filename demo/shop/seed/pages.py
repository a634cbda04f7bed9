"""The page tree: home, products, about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from wagtail.models import Page, Site

from demo import state
from demo.shop.models import HomePage, ProductPage, ProductType, StandardPage

BOOK_TAX = Decimal("7")
TAX = Decimal("19")

PRODUCTS: tuple[dict[str, Any], ...] = (
    {
        "title": "The Slow Web",
        "sku": "EB-SLOWWEB",
        "product_type": ProductType.EBOOK,
        "author": "Ines Aalto",
        "blurb": "Essays on building sites that are still there, and still readable, in twenty years.",
        "body": "<p>Fourteen essays about plain pages, durable addresses and the patience they need. EPUB and PDF, no copy protection.</p>",
        "price": Decimal("18.20"),
        "tax_rate_percent": BOOK_TAX,
        "cover": "slow-web",
    },
    {
        "title": "Photo editing, a course",
        "sku": "CR-PHOTO",
        "product_type": ProductType.COURSE,
        "author": "Jonas Brandt",
        "blurb": "From a flat file to a picture with a mood, in twelve unhurried lessons.",
        "body": "<p>Twelve films of about half an hour, with the raw files to work along. Watch them as often as you like.</p>",
        "price": Decimal("29.87"),
        "tax_rate_percent": TAX,
        "lessons": 12,
        "cover": "photo",
    },
    {
        "title": "Grain Pack",
        "sku": "PL-GRAIN",
        "product_type": ProductType.PLUGIN,
        "author": "Studio Kiesel",
        "blurb": "Forty scanned film grains as a plug-in for your photo editor.",
        "body": "<p>One licence for one person, activated on up to three machines.</p>",
        "price": Decimal("24.00"),
        "tax_rate_percent": TAX,
        "cover": "grain",
    },
    {
        "title": "The Open Library, one year",
        "sku": "SB-LIBRARY",
        "product_type": ProductType.SUBSCRIPTION,
        "blurb": "Everything we publish, the day it appears, for twelve months.",
        "body": "<p>Read every book and watch every course while your year runs. It ends by itself.</p>",
        "price": Decimal("120.00"),
        "tax_rate_percent": TAX,
        "is_service": True,
        "term_months": 12,
        "cover": "library",
    },
    {
        "title": "Letters in the Margin",
        "sku": "EB-MARGIN",
        "product_type": ProductType.EBOOK,
        "author": "Thea Lund",
        "blurb": "What readers wrote beside the text, from five centuries of used books.",
        "body": "<p>A hundred and sixty margins, photographed and transcribed.</p>",
        "price": Decimal("14.00"),
        "tax_rate_percent": BOOK_TAX,
        "cover": "margin",
    },
    {
        "title": "Atlas of Quiet Places",
        "sku": "EB-ATLAS",
        "product_type": ProductType.EBOOK,
        "author": "Paula Reyes",
        "blurb": "Sixty maps of places where you hear nothing but weather.",
        "body": "<p>Each map with directions on foot, by train or by boat.</p>",
        "price": Decimal("32.50"),
        "tax_rate_percent": BOOK_TAX,
        "cover": "atlas",
    },
    {
        "title": "Ma: the room between things",
        "sku": "EB-MA-JP",
        "product_type": ProductType.EBOOK,
        "author": "Haruka Ono",
        "blurb": "On empty space in houses, pages and conversation. Sold in yen from our Kyoto desk.",
        "body": "<p>Japanese and English side by side.</p>",
        "price": Decimal("1200"),
        "currency": "JPY",
        "tax_rate_percent": Decimal("10"),
        "cover": "ma",
    },
    {
        "title": "Winter Bundle",
        "sku": "EB-WINTER",
        "product_type": ProductType.EBOOK,
        "blurb": "Three books for the dark months at a third of their price.",
        "body": "<p>Last year's winter titles, while the frost lasts.</p>",
        "price": Decimal("9.00"),
        "tax_rate_percent": BOOK_TAX,
        "final_sale": True,
        "cover": "winter",
    },
)

ABOUT = """
<p>Paper Heron has made books, courses and tools for people who make things since 2011. We are five people in Bremen and one in Kyoto.</p>
<p>We sell files, not rights to look at them: what you buy is yours. If it turns out not to be for you, tell us.</p>
"""


def seed_pages() -> HomePage:
    """Return the home page, with everything under it made where it is missing."""
    home = HomePage.objects.first() or _make_home()
    for product in PRODUCTS:
        if not ProductPage.objects.filter(sku=product["sku"]).exists():
            home.add_child(instance=ProductPage(**product))
    if not StandardPage.objects.filter(slug="about").exists():
        home.add_child(instance=StandardPage(title="About us", slug="about", body=ABOUT, show_in_menus=True))
    return home


def _make_home() -> HomePage:
    """Put our front page in the place of the one that Wagtail's first migration makes."""
    root = Page.objects.get(depth=1)
    welcome = Page.objects.filter(depth=2, slug="home").first()
    home: HomePage = root.add_child(
        instance=HomePage(
            title="Books, courses and tools for people who make things",
            slug="paper-heron",
            lede="Made slowly, sold plainly, yours to keep.",
        )
    )
    address = urlsplit(state.load_addresses().shop)
    Site.objects.filter(is_default_site=True).update(
        hostname=address.hostname, port=address.port or 80, root_page=home, site_name="Paper Heron"
    )
    if welcome is not None:
        welcome.refresh_from_db()
        welcome.delete()
    Site.clear_site_root_paths_cache()
    return home


def seed_address() -> None:
    """Tell Wagtail's site the port of this run."""
    address = urlsplit(state.load_addresses().shop)
    Site.objects.filter(is_default_site=True).update(hostname=address.hostname, port=address.port or 80)
    Site.clear_site_root_paths_cache()
