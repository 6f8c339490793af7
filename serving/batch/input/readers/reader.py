"""The interface of readers, and what they are made from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from mlflow.types import Schema

from cloche.serving.batch.input.csv_options import PLAIN, CsvOptions
from cloche.serving.batch.input.readers.casting import Types
from cloche.serving.batch.input.readers.rows import Rows, StoredColumns
from cloche.serving.batch.job.part import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """What the readers of a job need to know.

    Attributes:
        model_columns: The names of the model's columns; None for all columns.
        carried: The names of the columns that are copied into the output.
        types: The column types of the signature.
        schema: The input schema of the signature; None without a signature.
        csv_options: The CSV options.
        verbatim: Whether the model's columns are copied as text of the file, which suits CSV
            output; else they are copied with their types.
        coded: Whether texts of the model that a file stores by a dictionary are read as Arrow
            dictionaries, and not as texts.
    """

    model_columns: Sequence[str] | None = None
    carried: Sequence[str] = ()
    types: Types
    schema: Schema | None
    csv_options: CsvOptions = PLAIN
    verbatim: bool = False
    coded: bool = False


class Reader(ABC):
    """Reads parts of files of one format."""

    @abstractmethod
    def read(self, part: Part) -> Rows:
        """Return the typed rows of a part.

        Raises:
            JobFailed: The file cannot be read.
        """

    def columns(self, part: Part) -> StoredColumns | None:  # noqa: ARG002
        """Return the rows of a part as columns; None if only a frame can be read.

        Raises:
            JobFailed: The file cannot be read.
        """
        return None
