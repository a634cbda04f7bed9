import smtplib
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.core import mail
from django.utils import translation

from refund_plugin.actor import customer_actor
from refund_plugin.errors import NotFound, PolicyInvalid
from refund_plugin.events.models import Delivery, Event
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.messaging.models import Message
from refund_plugin.messaging.queries import messages_of_request
from refund_plugin.messaging.services import MAIL_TIMEOUT_SECONDS, send_for_event
from refund_plugin.orders.services import ask_for_purchase_list
from refund_plugin.policies import wording
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.review import approve_request, ask_for_evidence, decline_request
from refund_plugin.refunds.services import answer_evidence, cancel_request
from refund_plugin.refunds.tracking import find_by_token, purchases_url, tracking_token, tracking_url
from tests.factories import COURSE, EBOOK, LICENCE, NOW, SALE, make_purchase
from tests.refunds.helpers import CLERK, ask


class Words(HTMLParser):
    """Collects what a reader of the HTML sees, and where its links go."""

    def __init__(self, html):
        super().__init__()
        self.text, self.links, self._hidden = [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._hidden = tag in ("style", "title")
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if not self._hidden and data.strip():
            self.text.append(data.strip())


def html_of(outgoing):
    return outgoing.alternatives[0][0]


def kinds():
    return list(Message.objects.order_by("id").values_list("kind", flat=True))


def test_an_instant_approval_is_one_mail_with_reference_amount_reason_and_expected_time_then_paid(shop, work):
    purchase = make_purchase(lines=[EBOOK])
    request = ask(purchase)

    received, paid = work()

    assert received.subject == f"Your refund of €18.20 is approved ({request.reference})"
    assert received.to == ["ada@example.com"]
    for words in [
        "You get €18.20 back",
        request.reference,
        purchase.number,
        "The Slow Web: €18.20",
        "Visa •••• 4242",
        "5 to 10 working days",
    ]:
        assert words in received.body
    assert tracking_url(request) in received.body
    assert paid.subject == f"We sent you €18.20 ({request.reference})"
    assert "Visa •••• 4242" in paid.body
    assert kinds() == ["received_approved", "paid"]


def test_the_reason_in_the_mail_names_the_clause(shop, work):
    ask(make_purchase(lines=[SALE, EBOOK]))

    received = work()[0]

    assert "Last-chance font: not refunded" in received.body
    assert "The Slow Web: €18.20" in received.body
    assert "Sold at a final discount." in received.body


def test_an_instant_decline_says_why_and_how_to_reach_a_person(shop, work):
    ask(make_purchase(lines=[SALE]))

    [declined] = work()

    assert "not refunded" in declined.body
    assert "Sold at a final discount." in declined.body
    assert "a person looks at it" in declined.body
    assert kinds() == ["received_declined"]


def test_a_request_that_waits_is_received_then_decided_then_paid(shop, work):
    request = ask(make_purchase(lines=[SALE]), wants_person=True)
    [received] = work()
    assert "two working days" in received.body
    assert "not refunded" not in received.body

    approve_request(request_id=request.pk, by=CLERK, reason="goodwill, an internal note", amounts=all_of(request, 500), now=NOW)
    approved, paid = work()

    assert "€5.00" in approved.subject
    assert "internal note" not in approved.body + html_of(approved)
    assert paid.subject.startswith("We sent you €5.00")
    assert kinds() == ["received", "approved", "paid"]


def all_of(request, amount):
    return {item.line_id: amount for item in request.lines.all()}


def test_a_persons_decline_is_told_in_their_words(shop, work):
    request = ask(make_purchase(lines=[SALE]), wants_person=True)
    work()
    decline_request(request_id=request.pk, by=CLERK, reason="It was marked <b>final</b> & sold so.", now=NOW)

    [declined] = work()

    assert "It was marked <b>final</b> & sold so." in declined.body
    assert "It was marked &lt;b&gt;final&lt;/b&gt; &amp; sold so." in html_of(declined)


def test_a_question_and_its_answer_are_both_acknowledged(shop, work):
    purchase = make_purchase(lines=[SALE])
    request = ask(purchase, wants_person=True)
    work()
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which program did you open it with?", now=NOW)
    [question] = work()
    assert "Which program did you open it with?" in question.body
    assert "Answer the question" in question.body

    customer = customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id)
    answer_evidence(request_id=request.pk, by=customer, message="FontLab", now=NOW)
    [thanks] = work()
    assert "we have your answer" in thanks.body

    cancel_request(request_id=request.pk, by=customer, now=NOW)
    [canceled] = work()
    assert "taken back" in canceled.subject


def test_a_question_is_mailed_even_when_it_was_answered_before_the_mail_went_out(shop, work):
    purchase = make_purchase(lines=[SALE])
    request = ask(purchase, wants_person=True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which program?", now=NOW)
    answer_evidence(
        request_id=request.pk, by=customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id), message="FontLab", now=NOW
    )

    received, question, thanks = work()

    assert "Which program?" in question.body
    assert "we have your answer" in thanks.body


def test_every_payment_of_a_split_refund_is_named_and_confirmed(shop, work):
    ask(make_purchase(lines=[LICENCE], payments=[1000, 1400]))

    received, *paid = work()

    assert "€10.00 to Visa" in received.body
    assert "€14.00 to Visa" in received.body
    assert sorted(outgoing.subject[:19] for outgoing in paid) == ["We sent you €10.00 ", "We sent you €14.00 "]


def test_money_that_comes_back_from_the_bank_is_told_honestly(shop, work):
    ask(make_purchase(lines=[EBOOK]))
    work()
    refund = Refund.objects.get()
    failed = GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=refund.gateway_refund_id, code="lost_or_stolen_card")
    record_answer(refund_id=refund.pk, answer=failed, now=NOW + timedelta(days=3))

    [delayed] = work()

    assert "delayed" in delayed.subject
    assert "You are still owed it" in delayed.body
    assert "lost_or_stolen_card" not in delayed.body + html_of(delayed)


def test_text_and_html_say_the_same_and_link_to_the_same_page(shop, work):
    request = ask(make_purchase(lines=[EBOOK, COURSE, SALE]))

    for outgoing in work():
        seen = Words(html_of(outgoing))
        assert tracking_url(request) in seen.links
        for words in seen.text:
            assert words in outgoing.body
        assert all(link.startswith("https://shop.example/") for link in seen.links)


def test_a_mail_says_that_a_machine_wrote_it_and_where_to_answer(shop, work):
    ask(make_purchase())

    received = work()[0]
    message = received.message()

    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@shop.example>")
    assert message["From"] == "Halftone <refunds@shop.example>"
    assert message["Reply-To"] == "help@shop.example"
    assert [part.get_content_type() for part in message.get_payload()] == ["text/plain", "text/html"]


def test_amounts_and_dates_are_written_in_the_customers_language(shop, work):
    with translation.override("de"):
        ask(make_purchase(), locale="de")
    received = work()[0]

    assert "18,20\xa0€" in received.body
    assert "März 2026" in received.body
    assert '<html lang="de"' in html_of(received)
    assert Message.objects.first().locale == "de"


@pytest.mark.parametrize("locale", ["xx", "not a language", "en_GB"])
def test_an_unknown_language_falls_back(shop, work, locale):
    ask(make_purchase(), locale=locale[:20])

    assert "You get" in work()[0].body


def test_an_event_delivered_twice_sends_one_mail(shop, work, mailoutbox):
    ask(make_purchase())
    work()
    sent = len(mailoutbox)
    for event in Event.objects.all():
        if Message.objects.filter(event=event).exists():
            send_for_event(event=event, now=NOW)

    assert len(mailoutbox) == sent == 2


def test_a_mail_server_that_refuses_delays_the_mail_and_nothing_else(shop, work, mailoutbox, monkeypatch):
    def refuse(*args, **kwargs):
        raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")

    with monkeypatch.context() as patch:
        patch.setattr(mail.backends.locmem.EmailBackend, "send_messages", refuse)
        request = ask(make_purchase())
        assert work() == []
    assert Refund.objects.get().state == "succeeded"
    message = messages_of_request(request.pk).get(kind="received_approved")
    assert message.sent_at is None

    Delivery.objects.update(due_at=NOW - timedelta(days=9999))
    received, _paid = work()

    message.refresh_from_db()
    assert message.sent_at is not None
    assert received.body == message.text


def test_a_mail_server_that_hangs_is_given_up(shop, work, monkeypatch):
    seen = []

    class Backend(mail.backends.locmem.EmailBackend):
        timeout = None

        def send_messages(self, messages):
            seen.append(self.timeout)
            return super().send_messages(messages)

    monkeypatch.setattr(mail, "get_connection", lambda *args, **kwargs: Backend())
    ask(make_purchase())
    work()

    assert seen == [MAIL_TIMEOUT_SECONDS, MAIL_TIMEOUT_SECONDS]


def test_a_known_address_gets_its_list_and_an_unknown_one_nothing(shop, work):
    purchase = make_purchase()
    ask_for_purchase_list(store=purchase.store, email="nobody@example.com", now=NOW)
    assert work() == []

    ask_for_purchase_list(store=purchase.store, email="ADA@example.com", now=NOW)
    [listed] = work()

    assert listed.to == ["ada@example.com"]
    assert "/purchases/" in listed.body
    assert purchases_url(purchase.customer).split("/purchases/")[0] in listed.body
    assert purchase.number not in listed.body


def test_a_decision_whose_policy_can_no_longer_be_read_is_still_told(shop, work, monkeypatch):
    def refuse(version):
        raise PolicyInvalid

    ask(make_purchase())
    monkeypatch.setattr(wording, "load_version", refuse)

    assert "The Slow Web: €18.20" in work()[0].body


def test_writing_a_mail_takes_a_fixed_number_of_statements(shop, django_assert_max_num_queries):
    counts = []
    for lines in ([EBOOK], [EBOOK, COURSE, LICENCE]):
        request = ask(make_purchase(lines=lines))
        event = Event.objects.get(case=request.pk, kind="request_submitted")
        with django_assert_max_num_queries(25) as queries:
            send_for_event(event=event, now=NOW)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_what_staff_read_of_a_mail_leaves_out_the_link_that_acts_as_the_customer(shop, work):
    request = ask(make_purchase(lines=[EBOOK]))
    received, _paid = work()
    message = Message.objects.get(kind="received_approved")

    assert tracking_token(request) in message.text and tracking_token(request) in received.body
    assert tracking_token(request) not in message.shown_text
    assert message.shown_text.replace("…", tracking_token(request)) == message.text  # nothing else is left out
    with pytest.raises(NotFound):
        find_by_token(message.shown_text.partition("/refunds/track/")[2].split("/")[0])
