"""Converts a scikit-learn model to a proven twin, or raises with the reason why it has none."""

import signal
from functools import partial
from importlib.util import find_spec
from math import inf
from threading import current_thread, main_thread
from time import monotonic
from types import FrameType

import pandas as pd
from threadpoolctl import threadpool_limits

from cloche.training.acceleration.original_model import OriginalModel
from cloche.training.acceleration.proof.stored_twin import ProvenTwin
from cloche.training.errors import TwinRefused
from cloche.values.redaction import describe_error

PROOF_SECONDS = 60.0
MOST_ROWS = 20_000  # of the holdout; more rows prove little more, and take long for slow models
# A twin that fails within FACTOR times the holdout's magnitudes is tried with this factor instead.
_NARROW = 2.0
_PACKAGES = ("onnx", "onnxruntime", "skl2onnx")


def make_proven_twin(
    original: OriginalModel, real: pd.DataFrame, *, seconds: float = PROOF_SECONDS, seed: int = 42
) -> ProvenTwin:
    """Convert a model to ONNX and prove that the result gives equal answers.

    Raises:
        TwinRefused: There is no proven twin; the message gives the reason.
    """
    absent = [name for name in _PACKAGES if find_spec(name) is None]
    if absent:
        raise TwinRefused(
            f"{', '.join(absent)} is not installed; pip install 'cloche[acceleration]'"
        )
    if real.empty:
        raise TwinRefused("there are no rows to prove it on")
    if len(real) > MOST_ROWS:
        real = real.sample(MOST_ROWS, random_state=seed)
    # On a busy machine OpenMP's threads wait for each other once for each tree of an ensemble.
    with threadpool_limits(1):
        try:
            with _Deadline(seconds) as on_time:
                return _convert_and_prove(original, real, on_time, seed)
        except TwinRefused:
            raise
        except _TimeUp:
            raise TwinRefused(f"the proof took longer than {seconds:g} s") from None
        except Exception as error:  # a failed twin must not fail the training
            raise TwinRefused(f"the attempt failed: {describe_error(error, real)}") from error


class _TimeUp(BaseException):
    """The time limit of an attempt is reached.

    It derives from `BaseException`, so that no library handles it as one of its own errors.
    """


class _Deadline:
    """Raises `_TimeUp` once the time limit is reached.

    The limit is checked on each call and also by a signal, because the libraries that convert and
    load a graph of thousands of columns check no clock.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = monotonic() + seconds
        self._signalled = current_thread() is main_thread()  # no other thread gets signals

    def __enter__(self) -> "_Deadline":
        if self._signalled:
            self._before = signal.signal(signal.SIGALRM, self._ring)
            # The signal repeats every second, in case a library swallowed the exception.
            signal.setitimer(signal.ITIMER_REAL, self._seconds, 1.0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._signalled:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)

    def __call__(self) -> None:
        if monotonic() > self._end:
            raise _TimeUp

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        raise _TimeUp


def _convert_and_prove(
    original: OriginalModel, real: pd.DataFrame, on_time: _Deadline, seed: int
) -> ProvenTwin:
    # Not at the top: these imports need the extra `acceleration`.
    from cloche.training.acceleration.conversion.convert import convert  # noqa: PLC0415
    from cloche.training.acceleration.conversion.supported_estimators import check, is_exact  # noqa: PLC0415
    from cloche.training.acceleration.description import make_twin  # noqa: PLC0415
    from cloche.training.acceleration.onnx_session import Session  # noqa: PLC0415
    from cloche.training.acceleration.proof.adversarial_rows import make_adversarial_rows  # noqa: PLC0415
    from cloche.training.acceleration.proof.equivalence import prove  # noqa: PLC0415
    from cloche.training.acceleration.proof.input_domain import (  # noqa: PLC0415
        FACTOR,
        enclose,
        find_domain,
        reasons_outside,
    )

    check(original.pipeline)
    graph = convert(original)
    factors = (inf,) if is_exact(original.pipeline) else (FACTOR, _NARROW)
    for factor in factors:
        domain = find_domain(original, real, factor=factor)
        content = enclose(graph, domain).SerializeToString()
        session = Session(content, original.inputs, len(original.classes))
        adversarial_rows = make_adversarial_rows(original, real, domain, seed=seed)
        try:
            proof = prove(
                original,
                session.scores,
                real,
                adversarial_rows,
                check=on_time,
                reasons=partial(reasons_outside, domain, original.inputs),
            )
        except TwinRefused:
            if factor != factors[-1]:
                continue
            raise
        return make_twin(original, content, session.taken, proof)
    raise AssertionError("the last factor returns or raises")
