"""What the demo shop is filled with; each part may run again and again and makes only what is not there."""
