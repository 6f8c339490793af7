"""The list of types that a stored pipeline may contain, kept as short as the pipeline allows.

skops refuses at load time every type that is neither known to be harmless nor on this list, which
is stored with the version. A type is put on it only from packages that the recipe already trusts to
run: scikit-learn, numpy, scipy and the estimator's own; anything else must be named in the recipe.
"""

from typing import Any

import skops.io

from cloche.training.errors import TrainingError
from cloche.training.recipe.sections import Estimator

_TRUSTED_PACKAGES = ("sklearn", "numpy", "scipy")
_HARMLESS = ("collections.OrderedDict",)  # of the standard library, and no more than a dict


def trusted_types(pipeline: Any, estimator: Estimator) -> list[str]:
    """List what skops must be told to trust in `pipeline`.

    Raises:
        TrainingError: the pipeline contains types that the recipe does not vouch for, or code that
            no file can hold.
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
