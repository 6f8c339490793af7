"""The page `/docs`: the inputs and outputs of each model as plain HTML."""

import html
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.protocols.catalog import PROTOCOLS
from cloche.serving.protocols.json_schema import specs


def page(models: Iterable[ServedModel]) -> str:
    """The HTML of the page, which loads nothing from other sites."""
    served = list(models)
    return _PAGE.format(body="\n".join(_section(model, alone=len(served) == 1) for model in served))


def _section(model: ServedModel, *, alone: bool) -> str:
    description = model.current.description if model.current else {}
    signature = description.get("signature") or {}
    name = quote(model.name, safe="")
    path = "/invocations" if alone else f"/models/{name}/invocations"
    version = model.current.version if model.current else "none yet"
    example = description.get("example")
    other = ", ".join(
        f"<code>POST {_text((one.bases[0] + path.end).format(name=name))}</code> ({one.title})"
        for one in PROTOCOLS
        for path in one.model_paths
        if one.title and not path.describe
    )
    parts = [
        f"<h2>{_text(model.name)}</h2>"
        f"<p>Version {_text(version)}. <code>POST {_text(path)}</code></p>"
        f"<p>Also {other}.</p>"
    ]
    for side, title in (("inputs", "Takes"), ("params", "Parameters"), ("outputs", "Gives")):
        if found := specs(signature, side):
            parts.append(f"<h3>{title}</h3>{_table(found)}")
    if example:
        parts.append(f"<h3>Example</h3><pre tabindex='0'>{_text(example)}</pre>")
    return "".join(parts)


def _table(found: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{_text(spec.get('name', ''))}</td><td>{_text(_kind(spec))}</td>"
        f"<td>{'required' if spec.get('required', True) else 'optional'}</td></tr>"
        for spec in found
    )
    head = "<tr><th>name</th><th>type</th><th>needed</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _kind(spec: dict[str, Any]) -> str:
    """A description of the type of a column or tensor."""
    kind = str(spec.get("type", ""))
    if kind == "tensor":
        tensor = spec["tensor-spec"]
        return f"tensor of {tensor['dtype']}, shape {tensor['shape']}"
    if kind == "array":
        return f"list of {_kind(spec['items'])}"
    if kind == "map":
        return f"object of {_kind(spec['values'])}"
    if kind == "object":
        members = (f"{name}: {_kind(inner)}" for name, inner in spec["properties"].items())
        return f"object with {', '.join(members)}"
    return kind


def _text(value: object) -> str:
    return html.escape(str(value))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API · Cloche</title>
<link rel="icon" type="image/svg+xml" href="page/cloche.svg">
<link rel="stylesheet" href="page/page.css"></head><body>
<header class="bar"><p class="brand"><a href="./">Cloche</a></p></header>
<main class="document">
<h1>API</h1>
<p>Send JSON with one of <code>dataframe_split</code>, <code>dataframe_records</code>,
<code>instances</code>, <code>inputs</code>; or CSV, or Parquet.
The same as data: <a href="openapi.json">openapi.json</a>.</p>
{body}
</main></body></html>
"""
