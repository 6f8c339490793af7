"""Compares the names of a request's columns with those of the signature."""

from collections.abc import Sequence

from mlflow.types import Schema

from cloche.serving.host.answers.mistake import Mistake, quote_columns, quote_names


def missing_columns(names: Sequence[str], schema: Schema) -> Mistake | None:
    """Find the required columns that a request lacks, and list the columns that it has."""
    lacking = [str(name) for name in schema.required_input_names() if name not in names]
    if not lacking:
        return None
    known = set(map(str, schema.input_names()))
    has = [name for name in names if name in known]
    unknown = [name for name in names if name not in known]
    message = f"The request lacks {quote_columns(lacking)}"
    # If no name is known, they may be values, as in CSV without a header, and are not shown.
    message += f"; it has {quote_names(has)}" if has else "; it has none of the model's columns"
    if has and unknown:
        message += f", and {quote_names(unknown)}, which the model does not know"
    return Mistake(f"{message}.", tuple(lacking))
