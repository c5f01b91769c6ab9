"""A real browser in front of the whole stack, on pages that do what the existing frontend is known to do."""
