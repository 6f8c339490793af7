"""What the server takes and gives, for people: one page of plain HTML."""

import html
from collections.abc import Iterable
from typing import Any

from serving.front.model import ServedModel
from serving.front.payloads import specs


def page(models: Iterable[ServedModel]) -> str:
    """The same for people: one page, with nothing fetched from elsewhere."""
    served = list(models)
    return _PAGE.format(body="\n".join(_section(model, alone=len(served) == 1) for model in served))


def _section(model: ServedModel, *, alone: bool) -> str:
    description = model.current.description if model.current else {}
    signature = description.get("signature") or {}
    path = "/invocations" if alone else f"/models/{model.name}/invocations"
    version = model.current.version if model.current else "none yet"
    example = description.get("example")
    other = ", ".join(
        f"<code>POST {_text(one.format(model.name))}</code> ({protocol})"
        for one, protocol in _DOORS.items()
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
        parts.append(f"<h3>Example</h3><pre>{_text(example)}</pre>")
    return "".join(parts)


def _table(found: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{_text(spec.get('name', ''))}</td><td>{_text(_kind(spec))}</td>"
        f"<td>{'required' if spec.get('required', True) else 'optional'}</td></tr>"
        for spec in found
    )
    return f"<table><tr><th>name</th><th>type</th><th></th></tr>{rows}</table>"


def _kind(spec: dict[str, Any]) -> str:
    """The type of a column or tensor, in words."""
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


_DOORS = {
    "/v2/models/{}/infer": "Open Inference Protocol",
    "/v1/models/{}:predict": "TensorFlow Serving, KServe V1",
    "/predictions/{}": "TorchServe",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cloche</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto }}
pre {{ background: #f4f4f4; padding: 1rem; overflow: auto }}
td, th {{ text-align: left; padding: .2rem 1.5rem .2rem 0 }}
</style></head><body>
<h1>Cloche</h1>
<p>Send JSON with one of <code>dataframe_split</code>, <code>dataframe_records</code>,
<code>instances</code>, <code>inputs</code>; or CSV, or Parquet.
The same as data: <a href="/openapi.json">/openapi.json</a>.</p>
{body}
</body></html>
"""
