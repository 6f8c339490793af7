"""Which scikit-learn classes may have a twin, depending on how they propagate small differences.

ONNX sums in another order than numpy, so a result may differ in its last bits. In a continuous
model such a difference stays small, and rows can prove that. In a model that makes comparisons,
such as a tree, a last bit can change the answer, and no number of rows would prove that it does
not: everything before such a comparison must be exact, bit by bit. A class that is in no list is
refused by name.
"""

from collections.abc import Iterator
from typing import Any

from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.pipeline import FeatureUnion, Pipeline

from cloche.training.acceleration.conversion.boosters import BOOSTERS, XGBOOST, public_name
from cloche.training.acceleration.conversion.trees import TREES, consists_of_trees
from cloche.training.errors import TwinRefused

# Transformers that apply one operation to each value, the same one in scikit-learn and ONNX, and so
# give the same bits.
_EXACT = {
    "MaxAbsScaler",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "RobustScaler",
    "SimpleImputer",
    "StandardScaler",
}
_CONTINUOUS_TRANSFORMERS = {
    "CountVectorizer",
    "Normalizer",
    "PCA",
    "PolynomialFeatures",
    "TfidfTransformer",
    "TfidfVectorizer",
    "TruncatedSVD",
}
_CONTINUOUS = {
    "ARDRegression",
    "BayesianRidge",
    "ComplementNB",
    "ElasticNet",
    "ElasticNetCV",
    "GammaRegressor",
    "GaussianNB",
    "HuberRegressor",
    "Lasso",
    "LassoCV",
    "LinearDiscriminantAnalysis",
    "LinearRegression",
    "LinearSVR",
    "LogisticRegression",
    "LogisticRegressionCV",
    "MLPClassifier",
    "MLPRegressor",
    "MultinomialNB",
    "NuSVC",
    "NuSVR",
    "PoissonRegressor",
    "QuadraticDiscriminantAnalysis",
    "Ridge",
    "RidgeCV",
    "SGDClassifier",
    "SGDRegressor",
    "SVC",
    "SVR",
    "TweedieRegressor",
}
_ASKING = {"BernoulliNB", *(kind.__name__ for kind in TREES), *BOOSTERS}
_NEIGHBOURS = {
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "RadiusNeighborsClassifier",
    "RadiusNeighborsRegressor",
}


def is_exact(estimator: Any) -> bool:
    """Return whether a model only compares exact values, so that any magnitude is safe."""
    *before, last = leaves(estimator)
    return consists_of_trees(last) and all(_name(one) in _EXACT for one in before)


def adds_in_order(estimator: Any) -> bool:
    """Return whether sums must be computed in the original's order, and so by one thread."""
    *_, last = leaves(estimator)
    return _name(last) in XGBOOST


def check(estimator: Any) -> None:
    """Check that every part of `estimator` belongs to a class whose twins can be proven.

    Raises:
        TwinRefused: A part does not; the message gives its name and the reason.
    """
    *before, last = leaves(estimator)
    name = _name(last)
    if name in _NEIGHBOURS:
        raise TwinRefused(
            f"{name} is not continuous: which neighbours are the nearest turns on the last bit of "
            "a distance, which ONNX sums in another order"
        )
    if name not in _CONTINUOUS | _ASKING:
        raise TwinRefused(f"{name} is not among the estimators whose twins can be proven")
    for one in before:
        step = _name(one)
        if step in _CONTINUOUS_TRANSFORMERS:
            if name in _ASKING:
                raise TwinRefused(
                    f"{step} comes before {name}: its last bits may differ in ONNX, and an answer "
                    "could turn on them"
                )
            _check_text(one)
        elif step not in _EXACT:
            raise TwinRefused(f"{step} is not among the transformers whose twins can be proven")


def _check_text(vectorizer: Any) -> None:
    analyzer = getattr(vectorizer, "analyzer", "word")
    if analyzer != "word":
        raise TwinRefused(
            f"{_name(vectorizer)} takes runs of characters (analyzer={analyzer!r}), which ONNX "
            "cannot count; words it can"
        )


def leaves(estimator: Any) -> Iterator[Any]:
    """Yield the estimators inside pipelines and column transformers, in their order."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from leaves(step)
    elif isinstance(estimator, ColumnTransformer):
        for _, step, columns in estimator.transformers_:
            if len(columns):
                yield from leaves(step)
    elif isinstance(estimator, FeatureUnion):
        for _, step in estimator.transformer_list:
            yield from leaves(step)
    elif isinstance(estimator, TransformedTargetRegressor):
        raise TwinRefused("TransformedTargetRegressor transforms the answers")
    elif not isinstance(estimator, str) and estimator is not None and not _passes(estimator):
        yield estimator


def _passes(estimator: Any) -> bool:
    """Return whether an estimator returns its input unchanged.

    ColumnTransformer replaces `passthrough` by such an estimator.
    """
    return _name(estimator) == "FunctionTransformer" and estimator.func is None


def _name(estimator: Any) -> str:
    name = public_name(estimator)
    return name.removeprefix("sklearn.")
