"""The types of values in a recipe, whose error messages say what each type accepts."""

import re
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from cloche.rollout.plan import Plan, read_plan
from cloche.training.recipe.metric_catalog import METRICS
from cloche.training.recipe.suggestions import suggestion

# A database's password may contain `/` and `@`; in an http(s) URL the path begins at the first `/`.
_SECRET = re.compile(
    r"(?P<scheme>https?://[^:/@\s]*):(?P<password>[^/]*)@"
    r"|(?P<database>(?!https?:)[A-Za-z][\w+.-]*://[^:/@\s]*):(?P<key>.*)@"
)
_VARIABLE = re.compile(r"\$\{\w+\}")


def mask(source: str) -> str:
    """Return `source` with a URL's password replaced by `***`; `${VARIABLE}` stays readable."""
    found = _SECRET.match(source)
    if found is None or _VARIABLE.fullmatch(found["password"] or found["key"] or ""):
        return source
    return f"{found['scheme'] or found['database']}:***@{source[found.end() :]}"


def _is_scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("expected text, a number, true or false")  # noqa: TRY004 - for pydantic
    return value


def _is_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number")  # noqa: TRY004 - for pydantic
    return value


def _is_day(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError("expected a day, like 2013-08-31") from None
    return value


def _is_metric(value: str) -> str:
    if value not in METRICS:
        raise ValueError(f"unknown metric; {suggestion(value, METRICS)}")
    return value


def _is_model_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
        raise ValueError("expected letters, digits, '.', '_' and '-', a letter or digit first")
    return value


def _is_dotted_path(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", value):
        raise ValueError(
            "expected the dotted path of a class, like sklearn.linear_model.LogisticRegression"
        )
    return value


def _keeps_no_secret(value: str) -> str:
    if mask(value) != value:
        raise ValueError(
            "holds a password, and a recipe is stored with every run; "
            "put it into an environment variable and write ${VARIABLE} in its place"
        )
    return value


Scalar = Annotated[bool | int | float | str, BeforeValidator(_is_scalar)]
Number = Annotated[int | float, BeforeValidator(_is_number)]
Day = Annotated[str, AfterValidator(_is_day)]
MetricName = Annotated[str, AfterValidator(_is_metric)]
ModelName = Annotated[str, AfterValidator(_is_model_name)]
DottedPath = Annotated[str, AfterValidator(_is_dotted_path)]
Source = Annotated[str, Field(min_length=1), AfterValidator(_keeps_no_secret)]
RolloutPlan = Annotated[Plan, PlainValidator(read_plan), PlainSerializer(asdict)]

# YAML has lists but no tuples: the outer type is converted, and the items are validated strictly.
Names = Annotated[tuple[str, ...], Field(strict=False)]
