"""What was bought and paid, by whom, and how it was used."""
