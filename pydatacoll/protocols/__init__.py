"""Protocol drivers. Nothing imports them by name: they are discovered."""
