"""Which scikit-learn classes may have a twin at all, by how small differences travel in them.

ONNX sums in another order than numpy, so a result may differ in its last bits. Where a model is
continuous that stays small, and rows can prove it. Where a model asks questions, as a tree does, a
last bit can turn an answer around, and no number of rows would prove that it does not: everything
before such a question must be exact, bit by bit. What is in no list is refused by its name.
"""

from collections.abc import Iterator
from typing import Any

from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.pipeline import FeatureUnion, Pipeline

from cloche.training.acceleration.conversion.boosters import BOOSTERS, XGBOOST, public_name
from cloche.training.acceleration.conversion.trees import TREES, is_trees
from cloche.training.errors import TwinRefused

# One operation for each value, the same one in both: same bits.
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
    """Whether a model only compares exact values, so that any magnitude is as good as any other."""
    *before, last = leaves(estimator)
    return is_trees(last) and all(_name(one) in _EXACT for one in before)


def adds_in_order(estimator: Any) -> bool:
    """Whether a sum in another order than the original's would show: then one thread must do it."""
    *_, last = leaves(estimator)
    return _name(last) in XGBOOST


def check(estimator: Any) -> None:
    """See that every part of `estimator` is one that a proof can hold for.

    Raises:
        TwinRefused: one is not, named with the reason.
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
    """The parts that do the work, in their order; pipelines and column transformers opened."""
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
    """Whether it hands its input on; ColumnTransformer fits one in place of `passthrough`."""
    return _name(estimator) == "FunctionTransformer" and estimator.func is None


def _name(estimator: Any) -> str:
    name = public_name(estimator)
    return name.removeprefix("sklearn.")
