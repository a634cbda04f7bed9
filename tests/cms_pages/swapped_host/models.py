"""The site's own policy page, as the documentation tells."""

from wagtail.test.basepage.models import BasePage

from cms_pages.mixins import RefundPolicyPageMixin


class PolicyPage(RefundPolicyPageMixin, BasePage):
    """A refund policy on the site's own page model."""

    content_panels = [*BasePage.content_panels, *RefundPolicyPageMixin.policy_panels]
