"""Pure: the formula and check language."""
