"""Loads the Jinja templates of pages and texts."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def template(package: str, name: str, **filters: Callable[[Any], str]) -> "Template":
    """Return a template, which is compiled once in a process.

    Args:
        package: The package whose folder `templates` contains the template.
        name: The file name of the template; only in `*.html.jinja` values are HTML-escaped.
        filters: The template's filters, by their names in the template.
    """
    from jinja2 import (  # noqa: PLC0415  # slow, and most processes show no page
        Environment,
        PackageLoader,
        StrictUndefined,
        select_autoescape,
    )

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(["html.jinja"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
