"""Detects numbers and days that are stored as formatted text, and says how to read them.

The module only inspects the form of a text; it changes no values.
"""

import shlex
from typing import Any, Final

import pandas as pd

from cloche.training.recipe.yaml_document import render_value

# pandas then reads every spelling of infinity as missing, and rows without a target are left out.
INFINITE_FIX: Final = (
    "read infinity as missing: data.options.na_values: [inf, -inf] for CSV, or write the value as "
    "missing"
)

_GROUPED: Final = r"\d{1,3}(?:[,.'\u00a0\u202f ]\d{3})+(?:[.,]\d+)?"
_NUMBER: Final = rf"[-+]?(?:{_GROUPED}|\d+(?:[.,]\d+)?)"
_CURRENCY: Final = r"[$€£¥₩₹₽₺₫₱฿₴₦￦￥]"
_BEFORE: Final = rf"(?:[-+]?\s?{_CURRENCY}\s?|[A-Z]{{2,3}}\s+)?"
_AFTER: Final = rf"(?:\s?%|\s?{_CURRENCY}|\s[^\W\d_]{{1,4}}|원|円|元|kg|km|cm|mm)?"
_AMOUNT = rf"\s*\(?{_BEFORE}{_NUMBER}{_AFTER}\)?\s*"
_DAY = r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{4}(?:[ T].*)?"

# Formats of numbers, each with the options of `pandas.read_csv` that read it.
_WRITTEN: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    (r"[-+]?\d{1,3}(?:,\d{3})*(?:\.\d+)?", {"thousands": ","}),
    (r"[-+]?\d+,\d+", {"decimal": ","}),
    (r"[-+]?\d{1,3}(?:\.\d{3})*(?:,\d+)?", {"thousands": ".", "decimal": ","}),
)


def amount_options(values: "pd.Series[str]") -> dict[str, str] | None:
    """Return the options with which `pandas.read_csv` reads a column of formatted numbers.

    Returns:
        The options; empty if no option reads the numbers, as with a currency sign; None if the
        column contains something else.
    """
    if values.empty or not values.str.fullmatch(_AMOUNT).all():
        return None
    for pattern, options in _WRITTEN:
        if values.str.fullmatch(pattern).all():
            return options
    return {}


def day_options(values: "pd.Series[str]", name: str) -> dict[str, Any] | None:
    """Return the options with which `pandas.read_csv` reads days whose year comes last.

    An example of such a day is 31.12.2024.

    Returns:
        The options; empty if day and month cannot be told apart; None if the column contains
        something else.
    """
    if values.empty or not values.str.fullmatch(_DAY).all():
        return None
    parts = values.str.extract(r"(\d+)\D(\d+)").astype("int64").max()
    if parts[0] > 12 and parts[1] <= 12:
        return {"parse_dates": [name], "dayfirst": True}
    if parts[1] > 12 and parts[0] <= 12:
        return {"parse_dates": [name]}
    return {}


def formatted_note(values: pd.Series) -> str | None:
    """Describe a column of formatted numbers or days, and how to read it, as a clause; or None."""
    known = values.dropna()
    if not pd.api.types.is_string_dtype(known) or pd.api.types.is_numeric_dtype(known):
        return None
    text = known.astype("str")
    if (amounts := amount_options(text)) is not None:
        return "holds numbers as formatted text; " + (
            _with_options(amounts)
            or "write them as plain numbers, like 1234 for ₩1,234 and 0.12 for 12 %"
        )
    if (days := day_options(text, str(values.name))) is not None:
        return "holds days as text whose year comes last; " + (
            _with_options(days) or "write them as 2024-12-31"
        )
    return None


def kinds_of(values: pd.Series) -> str:
    """Return the kinds of values in a column, in words and without any value."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return "times"
    if pd.api.types.is_bool_dtype(values):
        return "truth values"
    if pd.api.types.is_numeric_dtype(values):
        return "numbers"
    kinds = sorted({type(value).__name__ for value in values.dropna()})
    return "text" if kinds == ["str"] else f"values of the types {', '.join(kinds)}"


def is_amount(values: pd.Series) -> bool:
    """Return whether a column contains numbers that are formatted as text."""
    known = values.dropna()
    if not pd.api.types.is_string_dtype(known):
        return False
    return amount_options(known.astype("str")) is not None


def _with_options(options: dict[str, Any]) -> str:
    if not options:
        return ""
    typed = " ".join(f"--option {shlex.quote(_typed(*option))}" for option in options.items())
    return f"read them so: data.options: {render_value(options)} (with cloche init: {typed})"


def _typed(name: str, value: Any) -> str:
    return f"{name}={value if isinstance(value, str) else render_value(value)}"
