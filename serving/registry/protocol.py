"""Constants shared by the front and the registry process, and the modules to preload for it."""

from collections.abc import Mapping

HELLO = 0  # the id of the line with which the process reports that it is ready
QUERIES_AT_ONCE = 4  # concurrent queries of the registry

_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
_DATABASE_STORES = (
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store",
)  # fmt: skip


def store_modules(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the modules with which MLflow queries a registry in a database; empty for a server.

    Their import takes more than a second. A fork server that has imported them saves this time in
    every process that fetches a version.

    Args:
        variables: The environment variables, which name the stores. Without them, MLflow uses a
            database in the working directory.
    """
    named = [variables.get(f"MLFLOW_{store}_URI", "") for store in ("TRACKING", "REGISTRY")]
    schemes = {uri.partition("://")[0].partition("+")[0].lower() for uri in named if uri}
    return _DATABASE_STORES if not schemes or schemes & _DATABASES else ()
