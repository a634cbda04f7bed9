"""Translate a policy with wagtail-localize; run as a process of its own, because its apps are installed for good."""

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402
from wagtail.models import Locale, Page, Site  # noqa: E402
from wagtail_localize.models import StringTranslation, Translation, TranslationSource  # noqa: E402

from cms_pages.models import ConsentWording, RefundPolicyPage  # noqa: E402
from cms_pages.presentation import current_view  # noqa: E402
from refund_plugin import clock  # noqa: E402
from refund_plugin.content import consent_wordings  # noqa: E402
from refund_plugin.policies.models import PolicyVersion  # noqa: E402
from refund_plugin.policies.queries import load_version, load_version_in, version_in_force  # noqa: E402
from refund_plugin.stores.services import ensure_default_store  # noqa: E402
from tests.cms_pages.examples import guarantee, refused  # noqa: E402

GERMAN = {
    "Refunds": "Erstattungen",
    "Final sale": "Ausverkauf",
    "It was sold at a final discount.": "Es war stark verbilligt.",
    "We mean it.": "Das meinen wir ernst.",
}

call_command("check")
call_command("migrate", verbosity=0)
english, german = (Locale.objects.get_or_create(language_code=code)[0] for code in ("en", "de"))
root = Page.objects.filter(depth=1).first() or Page.add_root(title="Root", slug="root", locale=english)
home = root.add_child(instance=Page(title="Shop", slug="front", locale=english))
Site.objects.all().delete()
Site.objects.create(hostname="testserver", root_page=home, is_default_site=True)
home.copy_for_translation(german)
store = ensure_default_store()

page = RefundPolicyPage(title="Refunds", slug="refund-policy", prose={"guarantee": {"body": "We mean it."}})
page.clauses = [refused(anchor="final"), guarantee(30, anchor="guarantee")]
home.add_child(instance=page)
page.save_revision().publish()

# only words are offered, and no value can be overridden
source, _made = TranslationSource.get_or_create_from_instance(page)
strings = {segment.string.data for segment in source.stringsegment_set.select_related("string")}
assert set(GERMAN) <= strings, strings
assert not source.overridablesegment_set.filter(context__path__startswith="clauses").exists()
paths = set(source.stringsegment_set.values_list("context__path", flat=True))
assert {"prose.final.title", "prose.final.reason", "prose.guarantee.body"} <= paths, paths
assert not any(path.startswith(("clauses", "limits")) for path in paths), paths

task = Translation.objects.create(source=source, target_locale=german)
for segment in source.stringsegment_set.select_related("string", "context"):
    StringTranslation.objects.create(
        translation_of=segment.string,
        locale=german,
        context=segment.context,
        data=GERMAN.get(segment.string.data, segment.string.data),
        translation_type=StringTranslation.TRANSLATION_TYPE_MANUAL,
    )
task.save_target(publish=True)

# the words were translated, no version was made, and it decides the same
version = version_in_force(store_id=store.pk, at=clock.now())
assert version is not None
assert PolicyVersion.objects.count() == 1
final, promise = load_version_in(version, "de").clauses
assert (final.title, final.reason) == ("Ausverkauf", "Es war stark verbilligt.")
assert promise == load_version(version).clauses[1]
translated = RefundPolicyPage.objects.get(locale=german)
assert translated.prose["guarantee"] == {"body": "Das meinen wir ernst."}
assert translated.title == "Erstattungen"
view = current_view(key=translated.policy_key, locale="de", now=clock.now())
assert view is not None
assert view.clauses[0].title == "Ausverkauf"
assert view.clauses[1].body == "Das meinen wir ernst."

# the source's next version reaches the translation, whose clauses nobody can write
page = RefundPolicyPage.objects.get(pk=page.pk)
page.clauses = [refused(anchor="final"), guarantee(45, anchor="guarantee")]
page.save_revision().publish()
source.update_from_db()
task.save_target(publish=True)
assert PolicyVersion.objects.count() == 2
assert RefundPolicyPage.objects.get(locale=german).clauses[1].value["window_days"] == 45

# the page where one translates opens, and offers no field for a value
get_user_model().objects.create_superuser("editor", "editor@example.com", "secret")
client = Client()
client.login(username="editor", password="secret")
opened = client.get(reverse("wagtailadmin_pages:edit", args=[translated.pk]))
assert opened.status_code == 200
assert "window_days" not in opened.content.decode()

# the words of the checkout: three texts are offered, what they are about is not, and German customers read German once it is done
words = ConsentWording.objects.create(locale=english, introduction="Choose here.", agreement="At once.", acknowledgement="I know.")
words.save_revision().publish()
source, _made = TranslationSource.get_or_create_from_instance(words)
paths = set(source.stringsegment_set.values_list("context__path", flat=True))
assert paths == {"introduction", "agreement", "acknowledgement"}, paths
task = Translation.objects.create(source=source, target_locale=german)
for segment in source.stringsegment_set.select_related("string", "context"):
    StringTranslation.objects.create(
        translation_of=segment.string,
        locale=german,
        context=segment.context,
        data=f"{segment.string.data} (deutsch)",
        translation_type=StringTranslation.TRANSLATION_TYPE_MANUAL,
    )
task.save_target(publish=False)
assert consent_wordings().wording("content", "de") is None
task.save_target(publish=True)
assert consent_wordings().wording("content", "de") == ("At once. (deutsch)", "I know. (deutsch)", "de", "Choose here. (deutsch)")
assert consent_wordings().wording("content", "en") == ("At once.", "I know.", "en", "Choose here.")
print("the translated host works")
