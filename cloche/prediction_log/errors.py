"""What goes wrong with the prediction log; commands show the message without a traceback."""

from collections.abc import Sequence


class LogError(Exception):
    """The log cannot be read or written; the message says what to do."""


class LabelMistakes(LogError):
    """A table of labels has mistakes; `problems` has all of them."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        count = "1 mistake" if len(self.problems) == 1 else f"{len(self.problems)} mistakes"
        super().__init__(f"{source}: {count}, and nothing was written\n{lines}")
