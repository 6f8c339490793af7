"""The names of columns that a request has, beside those that the signature asks for."""

from collections.abc import Sequence

from mlflow.types import Schema

from cloche.serving.host.answers.mistake import Mistake, columns_of, listed


def missing_columns(names: Sequence[str], schema: Schema) -> Mistake | None:
    """The columns that the model needs and a request lacks, beside those that it has."""
    lacking = [str(name) for name in schema.required_input_names() if name not in names]
    if not lacking:
        return None
    known = set(map(str, schema.input_names()))
    has = [name for name in names if name in known]
    strange = [name for name in names if name not in known]
    told = f"The request lacks {columns_of(lacking)}"
    if has or len(strange) == len(names):
        # where nothing fits, what came may be no names but values, as in CSV without a header
        told += f"; it has {listed(has)}" if has else "; it has none of the model's columns"
    if has and strange:
        told += f", and {listed(strange)}, which the model does not know"
    return Mistake(f"{told}.", tuple(lacking))
