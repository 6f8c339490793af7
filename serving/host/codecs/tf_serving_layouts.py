"""Conversion of TensorFlow Serving's two layouts to layouts of MLflow's.

MLflow has layouts of the same names and converts them to numpy arrays. Lists, objects, and columns
without names that have different types do not fit into an array, so they are converted to rows.
"""

from typing import Any

from mlflow.types import DataType, Schema

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.answers.mistake import describe_kind, quote_columns, quote_names
from cloche.serving.host.diagnosis.layouts import Content, lengths_mistake
from cloche.serving.host.parsing.unnamed_columns import BARE_INPUT, names, side_by_side


class LayoutConverter:
    """Converts the contents of `instances` and `inputs` for a model with a given signature.

    Attributes:
        binary: The names of the inputs that are bytes.
    """

    def __init__(self, schema: Schema | None, *, hinted: bool) -> None:
        """Store the signature's inputs.

        Args:
            schema: The signature's inputs.
            hinted: Whether they come from the type hint of the model's function, which is a list.
        """
        self._hinted = hinted
        self._named = schema is not None and schema.has_input_names()
        self._as_rows = schema is not None and not hinted and _must_be_rows(schema)
        known = schema.input_names() if schema is not None and self._named else [BARE_INPUT]
        if schema is not None and self._as_rows and not self._named:
            known = names(len(schema.inputs))
        self._names = list(map(str, known))
        specs = schema.inputs if schema is not None else []
        self.binary = {
            name
            for name, spec in zip(self._names, specs, strict=False)
            if spec.type is DataType.binary
        }

    @property
    def only(self) -> str:
        """The name of the only input, which a request may omit; empty if there are several."""
        return self._names[0] if len(self._names) == 1 else ""

    def to_mlflow_layout(self, layout: str, content: Any) -> dict[str, Any]:
        """Convert content to a layout of MLflow's.

        Raises:
            RequestRefused: The content has no rows that can be recognized.
        """
        if self.only and not self._named:
            content = _without_name(content)
        if self._hinted:
            return {"inputs": content}
        if not self._as_rows:
            return {layout: self._name_only_input(layout, content)}
        records = self._records(content)
        if self._named:
            return {"dataframe_records": records}
        rows = [[record.get(name) for name in self._names] for record in records]
        return {"dataframe_split": {"data": rows}}

    def _records(self, content: Any) -> list[dict[str, Any]]:
        """Convert content by row or by column, with or without names, to rows by name."""
        if isinstance(content, dict) and all(isinstance(one, list) for one in content.values()):
            if mistake := lengths_mistake(Content("inputs", content)):
                raise RequestRefused(mistake.message, columns=mistake.columns)
            rows = zip(*content.values(), strict=True)
            return [dict(zip(content, row, strict=True)) for row in rows]
        if not isinstance(content, list):
            raise RequestRefused(
                f"Expected a list of rows, each with {quote_columns(self._names)}; found "
                f"{describe_kind(content)}.", columns=self._names,
            )  # fmt: skip
        return [self._record(at, row) for at, row in enumerate(content)]

    def _record(self, at: int, row: Any) -> dict[str, Any]:
        if isinstance(row, dict) and row and row.keys() <= set(self._names):
            return row
        if self.only:
            return {self.only: row}
        if isinstance(row, list) and len(row) == len(self._names):
            return dict(zip(self._names, row, strict=True))
        found = describe_kind(row)
        if isinstance(row, dict):
            found = f"an object with {quote_names(list(row))}" if row else "an empty object"
        elif isinstance(row, list):
            found = f"a list of {len(row)}"
        raise RequestRefused(
            f"Row {at}: expected {quote_columns(self._names)}, found {found}.",
            columns=self._names, row=at,
        )  # fmt: skip

    def _name_only_input(self, layout: str, content: Any) -> Any:
        """Add the name of the only input, which the protocol allows to omit."""
        if not self._named or not self.only or not isinstance(content, list) or not content:
            return content
        if any(isinstance(row, dict) for row in content):
            return content
        name = self.only
        return {name: content} if layout == "inputs" else [{name: row} for row in content]


def _must_be_rows(schema: Schema) -> bool:
    """Whether the columns do not fit into a numpy array and must be sent as rows."""
    if schema.is_tensor_spec():
        return False
    kinds = [kind.name if isinstance(kind, DataType) else "" for kind in schema.input_types()]
    return "" in kinds if schema.has_input_names() else not side_by_side(kinds)


def _without_name(content: Any) -> Any:
    """Remove the name that the metadata gives the only input, if the request has it."""
    if isinstance(content, dict) and content.keys() == {BARE_INPUT}:
        return content[BARE_INPUT]
    if isinstance(content, list) and all(
        isinstance(row, dict) and row.keys() == {BARE_INPUT} for row in content
    ):
        return [row[BARE_INPUT] for row in content]
    return content
