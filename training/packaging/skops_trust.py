"""Lists the types that a stored pipeline may contain, as few as the pipeline allows.

When skops loads a pipeline, it refuses every type that is neither known to be harmless nor on this
list, which is stored with the version. A type is added only from packages whose code the recipe
already runs: scikit-learn, numpy, scipy and the estimator's own package; any other type must be
named in the recipe.
"""

from typing import Any

from cloche.processes.quick_imports import without_array_libraries
from cloche.training.errors import TrainingError
from cloche.training.recipe.sections import Estimator

with without_array_libraries():
    import skops.io

_TRUSTED_PACKAGES = ("sklearn", "numpy", "scipy")
_HARMLESS = ("collections.OrderedDict",)  # from the standard library, no more powerful than a dict


def trusted_types(pipeline: Any, estimator: Estimator) -> list[str]:
    """List the types of `pipeline` that skops must be told to trust.

    Raises:
        TrainingError: The pipeline contains types that the recipe does not trust, or code that
            cannot be stored.
    """
    try:
        unknown = skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))
    except Exception as error:
        raise TrainingError(
            f"{estimator.class_} cannot be stored in the skops format ({error}); "
            "use parameters that are plain values, and classes that live in an installed package"
        ) from error
    packages = {*_TRUSTED_PACKAGES, estimator.class_.partition(".")[0]}
    refused = [
        name
        for name in unknown
        if name.partition(".")[0] not in packages
        and name not in (*_HARMLESS, *estimator.trusted_types)
    ]
    if refused:
        raise TrainingError(
            f"the fitted model contains types that are not trusted: {', '.join(sorted(refused))}; "
            "review them, and list those you trust under estimator.trusted_types in the recipe"
        )
    return sorted(unknown)
