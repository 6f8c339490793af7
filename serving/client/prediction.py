"""The predictions in a server's response."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predictions for one request, and the version that made them.

    Attributes:
        values: The predictions as decoded from JSON: usually a list with one value for each row;
            some kinds of models return other values.
        model: The name of the model.
        version: The version that answered; empty for a model outside the registry.
        request_id: The id of the request in the server's log.
        index: The index of the DataFrame that was sent; None for other inputs.
    """

    values: Any
    model: str
    version: str
    request_id: str
    index: "pd.Index | None" = field(default=None, compare=False, repr=False)

    def frame(self) -> "pd.DataFrame":
        """Return the predictions as a DataFrame with the index of the rows that were sent.

        Records become columns; predictions without names are in the column `prediction`.
        """
        import pandas as pd  # noqa: PLC0415  # pandas is optional, and only needed here

        values = self.values
        if isinstance(values, list) and not (values and isinstance(values[0], (dict, list))):
            values = {"prediction": values}
        return pd.DataFrame(values, index=self.index)
