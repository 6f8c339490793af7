"""`python -m benchmarks.scaling`: computes the tables of docs/scaling.md.

It prints them, or, with `--write`, puts them into the document.
"""

import argparse
import re
from pathlib import Path

from benchmarks.scaling.tables import TABLES

DOCUMENT = Path(__file__).parents[2] / "docs" / "scaling.md"


def filled(text: str) -> str:
    """Return the document with a new table after each mark `<!-- table: NAME -->`."""

    def made(match: re.Match[str]) -> str:
        return f"{match[1]}{TABLES[match[2]]()}\n"

    return re.sub(r"(<!-- table: (\w+) -->\n)(?:\|.*\n)*", made, text)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/scaling.md")
    if parser.parse_args().write:
        DOCUMENT.write_text(filled(DOCUMENT.read_text()))
        return
    for name, table in TABLES.items():
        print(f"{name}\n\n{table()}\n")


if __name__ == "__main__":
    main()
