"""Names the packages that install the drivers of databases."""

from typing import Final

# What SQLAlchemy imports for a database → the package that has it, where its name is another.
_PACKAGES: Final = {
    "psycopg": "'cloche[postgres]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}


def install_command(error: ImportError) -> str:
    """The command that installs the driver which SQLAlchemy could not import."""
    module = str(error.name)
    return f"pip install {_PACKAGES.get(module, module)}"
