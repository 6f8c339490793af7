"""The names in `--replicas`, compared with those of the models and stages that there are."""

from collections.abc import Iterable

from cloche.serving.registry.resolved_version import ResolvedVersion


class ReplicaNames:
    """The names in `--replicas`, and those of models and stages as far as they are known."""

    def __init__(self, named: Iterable[str]) -> None:
        self._named = frozenset(named)
        self._known: dict[str, set[str]] = {}

    def warning(self, model: str, resolved: ResolvedVersion, models: Iterable[str]) -> str:
        """Return a sentence on names that nothing has; empty if there are none, or may be yet.

        Args:
            model: The name under which a model is served.
            resolved: The version of that model that the registry names now.
            models: The names under which all models are served.
        """
        self._known[model] = {model, *(stage.name for stage in resolved.stages)}
        served = set(models)
        if not served <= self._known.keys():
            return ""
        known = sorted(set().union(*(self._known[one] for one in served)))
        unknown = sorted(self._named.difference(known))
        if not unknown:
            return ""
        return (
            f"--replicas names {', '.join(map(repr, unknown))}, and no model or stage is called "
            f"so; there are {', '.join(map(repr, known))}."
        )
