"""Pages and texts for people that are made from Jinja templates."""

from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape


@cache
def template(package: str, name: str, **filters: Callable[[Any], str]) -> Template:
    """A template, compiled once in a process.

    Args:
        package: The package whose folder `templates` holds it.
        name: Its file there; values are escaped in `*.html.jinja`, and in nothing else.
        filters: The functions that it writes values with, by their names in the template.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(["html.jinja"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
