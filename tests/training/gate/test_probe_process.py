"""The probe in its own process: what it measures, and what it makes of models that misbehave."""

import sys
import textwrap
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from cloche.processes import machine_limits
from cloche.registry.env_manager import NotBuilt
from cloche.registry.stage_chain import Member, write_chain
from cloche.training.errors import NotMeasured
from cloche.training.evaluation.predictions import TargetSpec
from cloche.training.gate.measure import failures_of
from cloche.training.gate.probe_process import ProbeResult, probe
from tests import advice, stand_in_environments
from tests.lifecycle import make_stages
from tests.online import started

pytestmark = pytest.mark.slow
forked = pytest.mark.usefixtures("forked_programs")

# Starts two dozen processes, half of which nobody is the parent of, and a thread that stays.
GUEST = """
import atexit, os, threading, time
from pathlib import Path

folder = Path({folder!r})
atexit.register((folder / "asked").touch)
for at in range(24):
    if (child := os.fork()) == 0:
        if at % 2 and os.fork():
            os._exit(0)
        os.setsid()
        (folder / f"{{os.getpid()}}.pid").touch()
        time.sleep(3600)
    if at % 2:
        os.waitpid(child, 0)
while len(list(folder.glob("*.pid"))) < 24:
    time.sleep(0.01)
threading.Thread(target=time.sleep, args=[3600]).start()
"""
LATE = TargetSpec("binary", (0, 1), 1)


def broadly(*cases):
    return [pytest.param(*case, marks=pytest.mark.breadth) for case in cases]


def probed(folder, holdout, *, timeout=120.0, features=()):
    return probe(folder, holdout, LATE, target_column="late", features=features, timeout=timeout)


@pytest.fixture
def save_code(tmp_path):
    """Save a model from code whose `predict` has the given body."""

    def save(body: str, prelude: str = "", header: str = ""):
        code, saved = tmp_path / "code.py", tmp_path / "saved"  # to save it, MLflow runs it, too
        code.write_text(
            textwrap.dedent(
                """
                import os, sys, time
                {header}
                import mlflow
                import numpy as np
                import pandas as pd

                class Model(mlflow.pyfunc.PythonModel):
                    def predict(self, context, model_input: pd.DataFrame, params=None):
                        {body}

                {prelude}
                mlflow.models.set_model(Model())
                """
            ).format(
                body=body,
                header=header,
                prelude=prelude and f"if os.path.exists({str(saved)!r}): {prelude}",
            )
        )
        path = tmp_path / "misbehaving"
        mlflow.pyfunc.save_model(str(path), python_model=str(code), pip_requirements=["mlflow"])
        saved.touch()
        return path

    return save


def test_a_healthy_model_is_measured_and_its_folder_left_as_it_was(save_model, holdout):
    folder = save_model()
    before = sorted(folder.rglob("*"))
    result = probed(folder, holdout)
    assert sorted(folder.rglob("*")) == before
    assert result.failures == {}
    assert result.load_seconds > 0
    assert result.latency_ms > 0
    expected = 1 / (1 + np.exp(-(2 * holdout["hour"] + holdout["wind"])))
    np.testing.assert_allclose(result.predictions.positive_probability(), expected)


# Takes one named tensor, as a graph of ONNX does.
GRAPH = """
import mlflow
import numpy as np

class Graph(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        rows = model_input["X"]
        assert rows.dtype == np.float32
        return {"score": 1 / (1 + np.exp(-(2 * rows[:, 0] + rows[:, 1])))}

mlflow.models.set_model(Graph())
"""


@forked
@pytest.mark.parametrize(
    ("width", "features"), [(2, ("hour", "wind")), pytest.param(3, (), marks=pytest.mark.breadth)]
)
def test_a_model_of_one_named_tensor_is_judged_by_the_columns_that_make_it(
    tmp_path, holdout, width, features
):
    spec = TensorSpec(np.dtype("float32"), (-1, width), "X")
    options = {"signature": ModelSignature(Schema([spec])), "pip_requirements": ["mlflow"]}
    (tmp_path / "graph.py").write_text(GRAPH)
    with warnings.catch_warnings(action="ignore"):  # advice on type hints and examples
        mlflow.pyfunc.save_model(
            str(tmp_path / "graph"), python_model=str(tmp_path / "graph.py"), **options
        )
    numbers = holdout.drop(columns="origin")
    result = probed(tmp_path / "graph", numbers, features=features)
    assert result.failures == {}
    assert result.latency_ms > 0
    expected = 1 / (1 + np.exp(-(2 * holdout["hour"] + holdout["wind"])))
    np.testing.assert_allclose(
        result.predictions.positive_probability(), expected, rtol=1e-4, atol=1e-6
    )
    unfit = probed(tmp_path / "graph", holdout)  # it has one column more
    assert f"'X' takes {width} values a row, and there are 4" in unfit.failures["predict"]


@forked
def test_a_model_gets_the_columns_of_a_holdout_as_the_holdout_has_them(save_code):
    rows = 40
    holdout = pd.DataFrame(
        {
            "late": [0, 1] * (rows // 2), "struct": [{"a": 1}] * rows,
            "map": [{"k": 1}, {"j": 2, "l": 3}] * (rows // 2), "list": [[1, 2]] * rows,
            "bytes": [b"\xff"] * rows, "day": pd.date_range("2020-01-01", periods=rows),
            "kind": pd.Categorical(["a", "b"] * (rows // 2)),
        }
    )  # fmt: skip
    kinds = "[type(model_input[name].iloc[0]).__name__ for name in model_input]"
    body = (
        f"kinds = {kinds}; "
        "assert kinds == ['dict', 'dict', 'ndarray', 'bytes', 'Timestamp', 'str'], kinds; "
        "assert set(model_input['map'].iloc[-1]) < set('jkl'), model_input; "
        "return [0] * len(model_input)"
    )
    result = probed(save_code(body), holdout)
    assert result.failures.get("predict") is None
    assert result.predictions is not None


@forked
def test_a_model_that_kills_its_process_is_a_failure_and_not_a_crash(save_code, holdout):
    folder = save_code("return np.zeros(1) if len(model_input) < 3 else os.abort()")
    result = probed(folder, holdout)
    assert result.predictions is None
    assert result.failures == {"predict": result.failures["predict"]}
    assert (
        "while predicting the holdout: the process was killed by SIGABRT"
        in (result.failures["predict"])
    )


@forked
def test_a_model_that_hangs_is_killed(save_code, holdout):
    folder = save_code("return model_input", prelude="time.sleep(3600)")
    result = probed(folder, holdout, timeout=1)
    assert result.failures == {"load": "while loading: no answer within 1 s"}


@forked
def test_a_model_that_cannot_be_imported_says_what_is_missing(save_model, holdout):
    folder = save_model()
    mlmodel = folder / "MLmodel"
    mlmodel.write_text(mlmodel.read_text().replace("mlflow.sklearn", "no_such_library"))
    result = probed(folder, holdout)
    assert "no_such_library" in result.failures["load"]
    assert result.predictions is None


@forked
def test_a_missing_column_and_a_bad_example_are_two_failures(save_model, holdout):
    folder = save_model()
    (folder / "serving_input_example.json").write_text('{"dataframe_split": {"columns": ["x"]}}')
    result = probed(folder, holdout.drop(columns="wind"))
    assert "wind" in result.failures["predict"]
    assert set(result.failures) == {"example", "predict"}


@forked
@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError(f'cannot score {model_input}')",
        "return model_input['origin'].tolist()",
        "print(model_input.to_string()); os.abort()",
        *broadly(
            ["return model_input['origin'].astype('float64')"],
            ["raise mlflow.MlflowException(f'cannot score {model_input.values.tolist()}')"],
            ["sys.exit(model_input.to_string())"],
        ),
    ],
)
def test_no_failure_shows_what_was_in_the_rows(body, save_code, holdout):
    holdout["origin"] = "Alice Liddell"
    result = probed(save_code(body), holdout)
    told = " ".join(result.failures.values())
    assert told
    hours = [f"{hour:.4g}" for hour in holdout["hour"]]
    assert not [secret for secret in ("Alice", "Liddell", *hours) if secret in told]


@forked
def test_what_a_model_does_to_the_process_is_judged_by_its_answers_and_nothing_is_left(
    save_code, holdout, tmp_path
):
    guest = tmp_path / "guest.py"
    guest.write_text(GUEST.format(folder=str(tmp_path)))
    body = (
        "answer = [0] * len(model_input); os.fork(); os.umask(0o777); os.chdir('/'); return answer"
    )
    result = probed(
        save_code(body, prelude=f"__import__('runpy').run_path({str(guest)!r})"), holdout
    )
    assert result.failures == {}
    assert result.predictions is not None
    assert len(list(tmp_path.glob("*.pid"))) == 24
    assert not started(tmp_path)
    assert (tmp_path / "asked").exists()


@forked
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return [Decimal('0.5')] * len(model_input)", "Object of type Decimal is not JSON"),
        *broadly(
            ("return np.full(len(model_input), 0.5 + 0j)", "Object of type complex"),
            ("return [object()] * len(model_input)", "Object of type object is not JSON"),
            ("return (Decimal(1) for _ in range(len(model_input)))", "of type generator"),
            # in some rows only, which the input example has not
            ("return [Decimal(1) if n > 20 else 1 for n in range(len(model_input))]", "Decimal"),
        ),
    ],
)
def test_an_answer_that_the_server_cannot_write_is_refused_with_its_reason(
    body, said, save_code, holdout
):
    result = probed(save_code(body, header="from decimal import Decimal"), holdout)
    assert result.failures.keys() <= {"example", "predict"}
    assert said in " ".join(result.failures.values())


RESTING = "threading.Thread(target=time.sleep, args=(3600,)).start()"
REPLACED = "json.dumps = lambda *_, **__: 'nothing'"


OTHERS = [
    ("os.fork(); return [0] * len(model_input)", "", {}),
    (f"{REPLACED}; return [0] * len(model_input)", "", {"example": "no JSON"}),
    ("return [0] * len(model_input)", "sys.stdout.close(); sys.stderr.close()", {}),
    ("print('{'); return [0] * len(model_input)", "", {}),
    ("return [0] * len(model_input)", "os.close(1); os.close(2)", {}),
    ("return [0] * len(model_input)", "os.closerange(0, 200)", {}),
    ("return [0] * len(model_input)", "os._exit(0)", {"load": "the process ended itself"}),
    ("return [0] * len(model_input)", "os._exit(7)", {"load": "ended with code 7"}),
    ("return [0] * len(model_input)", "atexit.register(os._exit, 7)", {}),
    ("return [0] * len(model_input)", "os.chdir('/'); os.umask(0o777)", {}),
    ("sys.modules.clear() if len(model_input) > 9 else 0; return [0] * len(model_input)", "", None),
    ("open(next(one for one in gc.get_objects() if type(one).__name__ == 'Report')._path, 'w')"
     ".write('{'); os._exit(0)", "",
     {"load": "its process left no readable report"}),
]  # fmt: skip


@forked
@pytest.mark.parametrize(
    ("body", "prelude", "failures"),
    [
        ("return [0] * len(model_input)", RESTING, {}),
        ("return [0] * len(model_input)", REPLACED, {"example": "no JSON"}),
        ("os._exit(0)", "", {"example": "answering the input example: the process ended itself"}),
        *broadly(*OTHERS),
    ],
)
def test_what_a_model_does_to_its_process_is_a_result_in_words(
    body, prelude, failures, save_code, holdout
):
    header = "import atexit, gc, json, threading"
    result = probed(save_code(body, prelude, header=header), holdout, timeout=60)
    if failures is None:
        assert result.failures
        assert "JSONDecodeError" not in " ".join(result.failures.values())
        return
    assert result.failures.keys() == failures.keys()
    for stage, said in failures.items():
        assert said in result.failures[stage]


@forked
@pytest.mark.parametrize(
    ("prelude", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL, as systems do it where"),
        *broadly(
            ("raise MemoryError", "the machine has no more memory"),
            ("raise OSError(errno.ENOSPC, 'full')", "no more room .No space left on device"),
        ),
    ],
)
def test_what_the_machine_lacks_is_no_verdict_on_the_model(prelude, said, save_code, holdout):
    folder = save_code("return [0] * len(model_input)", prelude, header="import errno, signal")
    with pytest.raises(NotMeasured, match=said):
        probed(folder, holdout)


LEAST = 512 << 20  # what the machine needs of memory, of which another program has a half


@forked
@pytest.mark.parametrize("way", ["raise the memory limit", "end what else runs here"])
def test_a_process_that_was_killed_is_measured_when_memory_is_there(
    way, save_code, holdout, tmp_path, monkeypatch
):
    limit, other = tmp_path / "memory.max", tmp_path / "other"
    limit.write_text(str(LEAST))
    monkeypatch.setattr(machine_limits, "_LIMIT", limit)
    free = f"int(Path({str(limit)!r}).read_text()) - Path({str(other)!r}).exists() * {LEAST // 2}"
    kill = f"if {free} < {LEAST}: os.kill(os.getpid(), 9)"
    header = "from pathlib import Path\ndef live():\n    " + kill
    folder = save_code("return [0] * len(model_input)", "live()", header=header)
    other.touch()
    with pytest.raises(NotMeasured) as refusal:
        probed(folder, holdout)
    assert way in str(refusal.value)
    if way == "end what else runs here":
        other.unlink()
    else:
        found = int(advice.text_of(r"raise the memory limit of (\d+) MiB", refusal.value))
        limit.write_text(str(2 * found << 20))
    assert probed(folder, holdout).failures == {}


def test_a_process_of_ours_that_does_not_start_is_no_verdict(
    save_model, holdout, tmp_path, monkeypatch
):
    # which Python imports when it starts
    broken = tmp_path / "sitecustomize.py"
    broken.write_text("import sys\nsys.modules['mlflow'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    folder = save_model()
    with pytest.raises(
        NotMeasured, match=r"does not start here: .*'mlflow' is not a package"
    ) as no:
        probed(folder, holdout)

    doctor = advice.text_of(r"`(cloche doctor)` says what this installation lacks", no.value)
    advice.stand_in(tmp_path, "cloche", f'exec {sys.executable} -m cloche "$@"')
    advice.stand_in(tmp_path, "pip", f"exec rm {broken}")  # installs what is broken
    said = advice.type_it(f"{doctor} || true", tmp_path)
    command = advice.text_of(r"→ (pip install --force-reinstall --no-deps .*'mlflow==.*')\n", said)
    advice.type_it(command, tmp_path)
    assert probed(folder, holdout).failures == {}


def test_an_environment_that_cannot_be_built_is_no_verdict(holdout, tmp_path):
    def interpreter(_: Path) -> str:
        raise NotBuilt("there is no such package")

    with pytest.raises(NotMeasured, match="there is no such package"):
        probe(tmp_path, holdout, LATE, target_column="late", timeout=1, interpreter=interpreter)


@pytest.mark.breadth
def test_a_stage_is_measured_in_its_own_environment(tmp_path, monkeypatch):
    stand_in_environments.use(monkeypatch)
    kinds = {"s 1": make_stages.STAGE, "m 1": make_stages.MODEL}
    for number, (name, kind) in enumerate(kinds.items(), 2):
        stand_in_environments.save(tmp_path / name, number, kind)
    write_chain(tmp_path / "chain", [Member(name, tmp_path / name) for name in kinds])
    interpreter = stand_in_environments.interpreter(tmp_path / "cache")

    def probed(*values: float) -> ProbeResult:
        rows = pd.DataFrame({"a": values, "y": 0.0})
        return probe(
            tmp_path / "chain", rows, TargetSpec("regression"), target_column="y", timeout=120,
            interpreter=interpreter,
        )  # fmt: skip

    assert probed(0.0, 1.0, 2.0).predictions.values.tolist() == [2003.0, 3003.0, 4003.0]
    failures = probed(0.0, make_stages.REFUSE).failures
    assert failures["predict"] == "ValueError: not this row (in the stage s 1)"
    with pytest.raises(NotMeasured, match="predicting the holdout: the process was killed by SIGK"):
        probed(0.0, make_stages.CRASH)


@forked
def test_a_failure_names_what_was_logged_and_what_is_installed(save_code, holdout):
    folder = save_code("return [0] * len(model_input)", prelude="raise RuntimeError('_loss')")
    (folder / "requirements.txt").write_text("mlflow\npandas==0.1\n")
    failures = failures_of(probed(folder, holdout))
    assert "_loss" in failures["load"]
    assert f"pandas==0.1 (installed: {pd.__version__})" in failures["load"]
