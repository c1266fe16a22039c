"""From one release to the next, and back onto a new disk: migrations, backup, restore, salvage."""
