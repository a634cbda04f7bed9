"""What editors write in Wagtail; imports `refund_plugin`, never the other way round."""
