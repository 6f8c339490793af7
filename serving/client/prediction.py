"""What a server answered."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predictions for one request, and what made them.

    Attributes:
        values: As the model gave them: one for each row; or, for models of some kinds, anything.
        model: The name of the model.
        version: The version that answered; empty for one outside the registry.
        request_id: What the server's log knows the request by.
        index: That of the DataFrame that was sent; None when none was.
    """

    values: Any
    model: str
    version: str
    request_id: str
    index: "pd.Index | None" = field(default=None, compare=False, repr=False)

    def frame(self) -> "pd.DataFrame":
        """The predictions as a DataFrame, with the index of the rows that were sent.

        Records become columns; predictions without names are in the column `prediction`.
        """
        import pandas as pd  # noqa: PLC0415  # only who wants frames must have pandas

        values = self.values
        if isinstance(values, list) and not (values and isinstance(values[0], (dict, list))):
            values = {"prediction": values}
        return pd.DataFrame(values, index=self.index)
