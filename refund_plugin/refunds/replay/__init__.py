"""What another policy would have decided: replays of the past before publishing, and drafts that decide silently beside the active one."""
