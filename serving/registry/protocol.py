"""What the front and the registry process must agree on, besides the names of the questions."""

from collections.abc import Mapping

HELLO = 0  # the id of the line that says the process takes questions
LOOKS_AT_ONCE = 4  # questions to the registry that are asked at the same time

_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
_DATABASE_STORES = (
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store",
)  # fmt: skip


def store_modules(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The modules by which MLflow asks a registry in a database; none for another registry.

    They take more than a second to import. A fork server that has them spares that time to each
    process that fetches a version.

    Args:
        variables: Of the environment, which name the stores. Where they name none, MLflow has a
            database in the working directory.
    """
    named = [variables.get(f"MLFLOW_{store}_URI", "") for store in ("TRACKING", "REGISTRY")]
    schemes = {uri.partition("://")[0].partition("+")[0].lower() for uri in named if uri}
    return _DATABASE_STORES if not schemes or schemes & _DATABASES else ()
