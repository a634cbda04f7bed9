"""Which purchase? The first page: today's conditions, then order number and e-mail, or a choice for who is signed in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from refund_plugin import clock
from refund_plugin.orders.queries import purchases_of_user
from refund_plugin.web.before import steps_of_asking
from refund_plugin.web.forms import LookupForm
from refund_plugin.web.frame import customer_page, formatter_of, show, store_of
from refund_plugin.web.proof import prove, purchase_page
from refund_plugin.web.wording import conditions_of, purchase_cards

SHOWN_PURCHASES = 5


@customer_page
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """Show the question; on the right answer go to the purchase."""
    store = store_of(request)
    if request.method == "POST":
        form = LookupForm(request.POST)
        if form.is_valid() and (purchase := prove(request, form, store)):
            return redirect(purchase_page(purchase))
    else:
        email = request.user.email if request.user.is_authenticated else ""
        form = LookupForm(initial={"number": request.GET.get("order", "")[:64], "email": email})
    formatter = formatter_of(store)
    own = list(purchases_of_user(request.user, store)[: SHOWN_PURCHASES + 1]) if request.user.is_authenticated else []
    context = {
        "form": form,
        "problems": form.problems(),
        "steps": steps_of_asking(),
        "conditions": conditions_of(store, formatter, now=clock.now()),
        "purchases": purchase_cards(own[:SHOWN_PURCHASES], formatter),
        "has_more": len(own) > SHOWN_PURCHASES,
    }
    return show(request, "ask", context, status=422 if form.errors else 200)
