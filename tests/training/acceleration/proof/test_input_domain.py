"""Where the original gives no answer, or a proof is worth nothing, the graph declines."""

import functools
import re

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from cloche.training.acceleration.onnx_session import Session
from cloche.training.acceleration.original_model import Input
from cloche.training.acceleration.proof.input_domain import Domain, reasons_outside
from cloche.training.acceleration.proven_twin import make_proven_twin
from tests.training.acceleration import zoo


def declines(pipeline, rows):
    """A function: values put into a good row → whether the twin declines that."""
    original = zoo.original_of(pipeline, rows)
    session = Session(make_proven_twin(original, rows).graph, original.inputs, 2)

    def ask(**values):
        row = rows.iloc[[1]].reset_index(drop=True).astype(object).assign(**values)
        return bool(np.isnan(session.scores(row)).all())

    return ask


@functools.cache
def logistic():
    return declines(zoo.fit_table(LogisticRegression()), zoo.table())


def test_a_value_that_scikit_learn_refuses_is_declined():
    ask = logistic()

    assert not ask()
    assert not ask(wind=np.nan)  # there is an imputer
    assert ask(hour=np.nan)
    assert ask(gust=np.inf)
    assert ask(gust=-np.inf)
    assert not ask(port="unseen")  # handle_unknown="ignore"
    assert ask(port=None)  # no tensor has a place for it
    assert ask(gate=17)  # handle_unknown="error"


def test_a_model_that_computes_is_not_trusted_far_from_what_was_seen():
    largest = zoo.table()["gust"].abs().max()
    assert not logistic()(gust=1000 * largest)
    assert logistic()(gust=1100 * largest)


def test_a_model_that_only_compares_answers_as_far_as_scikit_learn():
    histograms = declines(zoo.fit_table(HistGradientBoostingClassifier(max_iter=5)), zoo.table())
    forest = declines(zoo.fit_table(RandomForestClassifier(3)), zoo.table())

    assert not histograms(gust=np.inf)
    assert not forest(gust=3e38)
    assert forest(gust=1e39)  # too large for the float32 that its trees compare


def test_text_beyond_ascii_is_declined():
    ask = declines(zoo.fit_text(zoo.TEXTS["weighted words"]), zoo.texts())

    assert not ask(said="Good, bad:\tfine!\n")
    assert not ask(said="")
    assert ask(said="café")
    assert ask(said="a\0b")


def test_a_graph_without_bounds_is_not_made_slower():
    rows = pd.DataFrame({"gust": zoo.table()["gust"]})
    model = HistGradientBoostingClassifier(max_iter=3).fit(rows, rows["gust"] > 0)
    graph = make_proven_twin(zoo.original_of(model, rows), rows).graph
    assert b"cloche_reducesum" not in graph


def test_each_column_that_puts_rows_outside_is_named_with_what_mends_it():
    rows = pd.DataFrame(
        {
            "port": ["JFK", "new", None, "JFK"], "note": ["plain", "한국어", "é", None],
            "wind": [1.0, None, 1e9, 2.0], "gust": [None, 1.0, 2.0, 3.0],
        }
    )  # fmt: skip
    inputs = (
        Input("port", "string"), Input("note", "string", missing=""), Input("wind", "double"),
        Input("gust", "double"),
    )  # fmt: skip
    domain = Domain(
        missing=frozenset({"gust"}), limits={"wind": 1024.0, "gust": np.inf},
        known={"port": ("JFK", "EWR")}, plain=frozenset({"note"}),
    )  # fmt: skip
    found = reasons_outside(domain, inputs, rows)
    assert [re.sub(r"[;,].*\(", "; (", one) for one in found] == [
        "port is missing; (in 1 of 4 rows)",
        "port holds a category that the model never saw; (in 1 of 4 rows)",
        "note has characters beyond printable ASCII; (in 2 of 4 rows)",
        "wind is missing; (in 1 of 4 rows)",
        "wind is far from all that the model was tried on (in 1 of 4 rows)",
    ]
    mended = rows.assign(port="EWR", note="plain", wind=1.0)
    assert reasons_outside(domain, inputs, mended) == []
