"""The shop's own pages besides those in the page tree: library, checkout, and the outbox of the demo."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST

from demo.shop import mail
from demo.shop.models import ProductPage, ProductType
from demo.shop.orders import Buyer, PaymentDeclined, library_items, open_line, place_order
from refund_plugin import clock
from refund_plugin.orders.queries import purchases_of_user
from refund_plugin.stores.services import ensure_default_store
from refund_plugin.web.consent import ConsentForm, record_checkout_consent


@login_required
def library(request: HttpRequest) -> HttpResponse:
    """Show what the customer bought, newest first."""
    purchases = list(purchases_of_user(request.user, ensure_default_store()))
    items = {item.line.pk: item for item in library_items(purchases)}
    shelves = [(purchase, [items[line.pk] for line in purchase.lines.all()]) for purchase in purchases]
    return render(request, "shop/library.html", {"shelves": shelves})


@login_required
@require_POST
def open_item(request: HttpRequest, line_id: int) -> HttpResponse:
    """Hand out what was bought, and record that it was used."""
    purchases = list(purchases_of_user(request.user, ensure_default_store()))
    item = next((item for item in library_items(purchases) if item.line.pk == line_id), None)
    if item is None or item.locked or item.finished:
        raise Http404
    open_line(item, now=clock.now())
    if item.line.product_type == ProductType.EBOOK:
        response = HttpResponse(f"{item.line.name}\n\nThis is where the book would begin.\n", content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{item.line.sku.lower()}.txt"'
        return response
    messages.success(request, f"{item.line.name}: {item.action.lower()} – done.")
    return redirect("library")


class CheckoutForm(forms.Form):
    """Who buys."""

    name = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    country = forms.ChoiceField(
        choices=[("DE", "Germany"), ("FR", "France"), ("JP", "Japan"), ("GB", "United Kingdom"), ("US", "United States")]
    )


def checkout(request: HttpRequest, sku: str) -> HttpResponse:
    """Buy one product; the card is always the sandbox's test card."""
    product = get_object_or_404(ProductPage.objects.live(), sku=sku)
    form = CheckoutForm(request.POST or None)
    consent = ConsentForm(request.POST or None, nature="service" if product.is_service else "content")
    if request.user.is_authenticated:
        form.fields["name"].initial = request.user.get_full_name()
        # Mail about an order reaches whoever is signed in, not an address they happen to type.
        form.fields["email"].initial, form.fields["email"].disabled = request.user.email, True
    if request.method == "POST" and form.is_valid() and consent.is_valid():
        user_id = request.user.pk if request.user.is_authenticated else None
        buyer, now = Buyer(**form.cleaned_data, user_id=user_id), clock.now()
        try:
            purchase = place_order(product, buyer, now=now)
        except PaymentDeclined as declined:
            form.add_error(None, str(declined))
        else:
            record_checkout_consent(form=consent, purchase=purchase, now=now)
            return redirect("checkout-thanks", number=purchase.number)
    return render(request, "shop/checkout.html", {"product": product, "form": form, "consent": consent})


def thanks(request: HttpRequest, number: str) -> HttpResponse:
    """Tell the order number; nothing here depends on whether it exists."""
    return render(request, "shop/thanks.html", {"number": number})


def mail_list(request: HttpRequest) -> HttpResponse:
    """Show every mail the demo has sent; a real shop has nothing like it."""
    return render(request, "shop/mail_list.html", {"letters": mail.letters()})


def mail_letter(request: HttpRequest, name: str) -> HttpResponse:
    """Show one mail."""
    return render(request, "shop/mail_letter.html", {"letter": _letter(name)})


@xframe_options_sameorigin
def mail_html(request: HttpRequest, name: str) -> HttpResponse:
    """Return the HTML part of a mail, for a frame."""
    response = HttpResponse(_letter(name).html)
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-popups allow-top-navigation-by-user-activation"
    )
    return response


def _letter(name: str) -> mail.Letter:
    letter = mail.read_letter(name)
    if letter is None:
        raise Http404
    return letter
