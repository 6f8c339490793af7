"""The limit of refused rows beyond which a job fails: a count, or a share of all rows."""

from dataclasses import dataclass

from cloche.serving.errors import SettingsError, TooManyBadRows


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on refused rows; `share` can be judged only when all rows are read."""

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str | None) -> "Limit":
        """Parse a count like `100` or a share like `5%`.

        Raises:
            SettingsError: `text` is neither.
        """
        if text is None:
            return cls()
        try:
            if text.endswith("%"):
                share = float(text[:-1]) / 100
                if 0 <= share <= 1:
                    return cls(share=share)
            elif int(text) >= 0:
                return cls(count=int(text))
        except ValueError:
            pass
        raise SettingsError(f"--max-bad-rows {text}: give a count like 100 or a share like 5%.")

    @property
    def given(self) -> bool:
        """Whether the user gave a limit."""
        return self.count is not None or self.share is not None

    def check(self, refused: int, rows: int, *, all_read: bool) -> None:
        """Check the number of rows refused so far.

        Raises:
            TooManyBadRows: More rows were refused than the limit allows.
        """
        if self.count is not None and refused > self.count:
            raise TooManyBadRows(
                f"{refused:,} rows were refused; --max-bad-rows allows {self.count:,}."
            )
        if not all_read or not rows:
            return
        if self.share is not None and refused > self.share * rows:
            raise TooManyBadRows(
                f"{refused:,} of {rows:,} rows were refused; --max-bad-rows allows "
                f"{self.share:.4g} of them."
            )
        if refused == rows and not self.given:
            raise TooManyBadRows(f"All {rows:,} rows were refused.")
