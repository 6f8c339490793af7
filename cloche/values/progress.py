"""How long work says what it is doing."""

from collections.abc import Callable

Say = Callable[[str], None]  # is called with a description of each step as it begins
