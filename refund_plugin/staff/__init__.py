"""The staff's door: queue, case page, purchases and the panels of the Wagtail admin."""
