"""What the commands of serving advise is typed, and is no mistake any more."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloche import main
from cloche.registry.version_digest import NOTE_FILE
from cloche.serving.cli.report import report
from cloche.serving.cli.score import _explained, _on_day, _refuse_contradictions, score
from cloche.serving.errors import RESUME, JobFailed, ServingError, SettingsError
from cloche.serving.registry.uri import parse
from tests import advice

JOB = ["models:/m/1", "rows.csv", "out/"]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def would_begin(words: list[str]) -> None:
    """What `cloche score` looks at before it imports what does the work."""
    given = score.make_context("score", list(words)).params
    texts = _on_day(given["day"], given["source"], given["output"], given["query"] or "")
    _refuse_contradictions(
        texts[0], texts[1], query=texts[2], resume=given["resume"], as_json=given["as_json"],
        on_spark=given["engine_name"] == "spark", workers=given["workers"],
        time_limit=given["predict_timeout"], manager=given["env_manager"],
    )  # fmt: skip


def without(words: list[str], options: list[str]) -> list[str]:
    """The words without options, and what stands behind those that take a value."""
    left, flags = list(words), {"--json", "--resume"}
    for option in options:
        if option in left:
            at = left.index(option)
            del left[at : at + (1 if option in flags else 2)]
    return left


SPARK = ["--engine", "spark"]
STREAM = ["models:/m/1", "rows.csv", "-"]
# What is typed, what is said, and what is typed then.
CONTRADICTIONS: dict[str, tuple[list[str], str, Callable[[list[str], list[str]], list[str]]]] = {
    "a stream from executors": (
        [*STREAM, *SPARK], r"name a file or directory as (OUTPUT),",
        lambda given, _: ["out/" if word == "-" else word for word in given],
    ),
    "a stream from executors, here": ([*STREAM, *SPARK], r"or leave (--engine) spark out", without),
    "workers of executors": (
        [*JOB, *SPARK, "--workers", "2"], r"for instance (--spark-master local\[2\])\.",
        lambda given, said: [*given[:-2], *said],
    ),
    "patience with executors": (
        [*JOB, *SPARK, "--predict-timeout", "9"], r"leave it out with (--engine) spark",
        lambda given, _: given[:-2],
    ),
    "patience with executors, here": (
        [*JOB, *SPARK, "--predict-timeout", "9"], r"leave it out with (--engine) spark, or score h",
        without,
    ),
    "a stream told as JSON": (
        [*STREAM, "--json"], r"leave (--json and --resume) out", without,
    ),
    "a stream that goes on, and a file": (
        [*STREAM, "--resume"], r"or name a file as (OUTPUT)\.",
        lambda given, _: ["out.csv" if word == "-" else word for word in given],
    ),
    "a stream that is read again": (
        ["models:/m/1", "-", "out.csv", "--resume"], r"leave (--resume) out", without,
    ),
    "a stream that is read again, and a file": (
        ["models:/m/1", "-", "out.csv", "--resume"], r"or name a file as (INPUT)\.",
        lambda given, _: ["rows.csv" if word == "-" else word for word in given],
    ),
    "a query of a stream": (
        ["models:/m/1", "-", "out.csv", "--query", "SELECT 1"], r"INPUT, like (\S+),",
        lambda given, said: [said[0] if word == "-" else word for word in given],
    ),
    "a place without a day": (
        ["models:/m/1", "{date}.csv", "out/"], r"like (--date yesterday)\.",
        lambda given, said: [*given, *said],
    ),
    "a day without a place": (
        [*JOB, "--date", "today"], r"write (\{date\}) into INPUT or OUTPUT",
        lambda given, said: [f"{said[0]}.csv" if word == "rows.csv" else word for word in given],
    ),
    "a day that is none": (
        ["models:/m/1", "{date}.csv", "out/", "--date", "1.11.2013"], r"a day like (\S+),",
        lambda given, said: [*given[:-1], *said],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", CONTRADICTIONS)
def test_what_is_advised_about_options_of_a_job_contradicts_nothing(mistake):
    given, pattern, mend = CONTRADICTIONS[mistake]
    with pytest.raises(SettingsError) as refusal:
        would_begin(given)
    would_begin(mend(given, advice.words_of(pattern, refusal.value)))


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a program into a PATH that has no other; it builds images from the base `known`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def put(name: str) -> None:
        program = tmp_path / "bin" / name
        program.write_text('#!/bin/sh\n[ "$1" != build ] || exec /bin/grep -q "^FROM known" "$3"\n')
        program.chmod(0o755)

    return put


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The folder of a version; nobody loads it."""
    (tmp_path / "churn model").mkdir()
    (tmp_path / "churn model" / "MLmodel").write_text("flavors: {}\n")
    return "churn model"


def run(*words: str) -> str:
    """What the command prints, or why it fails."""
    done = CliRunner().invoke(main.cloche, [*words, "--cache-dir", "cache"])
    assert done.exception is None or isinstance(done.exception, ServingError), done.exception
    return str(done.exception or done.output)


def test_an_image_is_built_with_the_engine_that_is_installed_or_without_one(engine, model):
    build = ("build", model, "--base", "known")
    said = run(*build)
    option, _ = advice.words_of(r"write the build context with (--context-only DIR)", said)
    context = run(*build, option, "a context")
    typed = advice.words_of(r"Build it: (.*)$", context.strip())
    assert (typed[0], (Path(typed[-1]) / "Dockerfile").is_file()) == ("docker", True)
    again = advice.words_of(
        r"does not exist yet: (--context-only NEW)", run(*build, option, "a context")
    )
    assert "Build it" in run(*build, *again)
    name = advice.words_of(r"^(\w+), Podman or Buildah is needed", said)[0].lower()
    engine(name)
    assert "digest" in run(*build)


def test_an_engine_that_is_not_there_is_left_out_or_installed(engine, model):
    engine("podman")
    build = ("build", model, "--base", "known")
    said = run(*build, "--engine", "docker")
    (option,) = advice.words_of(r"Install it, or leave (--engine) out\.$", said)
    assert "digest" in run(*without([*build, "--engine", "docker"], [option]))
    engine("docker")
    assert "digest" in run(*build, "--engine", "docker")


def test_a_base_that_the_engine_has_is_named(engine, model):
    engine("podman")
    said = run("build", model)
    option, _ = advice.words_of(r"name one that it has: (--base IMAGE)$", said)
    assert "digest" in run("build", model, option, "known")


def test_a_context_is_written_without_what_builds_images(engine, model):
    given = ["build", model, "--context-only", "context", "--tag", "t", "--engine", "podman"]
    said = run(*given)
    left_out = advice.words_of(r"leave out (--engine, --tag), and", said)
    assert "Build it" in run(*without(given, [word.strip(",") for word in left_out]))
    engine("podman")
    (other,) = advice.words_of(r"or leave out (--context-only)$", said)
    assert "digest" in run(*without(given, [other]), "--base", "known")


def test_the_output_of_a_finished_job_is_given(tmp_path):
    done = CliRunner().invoke(report, ["nothing.csv"])
    assert str(done.exception).endswith("Give the OUTPUT of a finished `cloche score`.")
    document = {"profiled": False, "rows": 1, "refused": 0}
    (tmp_path / "out.csv.report.json").write_text(json.dumps(document))
    assert json.loads(CliRunner().invoke(report, ["out.csv", "--json"]).stdout) == document


def test_a_note_that_cannot_be_read_is_written_by_building_again(model):
    context = ("build", model, "--base", "known", "--context-only")
    run(*context, "first")
    (Path("first") / "model" / NOTE_FILE).write_text("{torn")
    with pytest.raises(ServingError) as refusal:
        parse("first/model")
    assert re.search(r"Run cloche (build) again\.$", str(refusal.value))
    run(*context, "second")
    assert parse("second/model").name == model


@pytest.mark.parametrize("where", ["local", "spark"])
def test_a_manager_of_environments_is_installed_before_anything_starts(where, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    words = [*JOB, "--env-manager", "uv", "--engine", where]
    with pytest.raises(SettingsError, match="pip install uv"):
        CliRunner().invoke(score, words, catch_exceptions=False)


@pytest.mark.parametrize(("repeatable", "advised"), [(True, "--resume"), (False, "run it again")])
def test_a_job_whose_input_is_gone_is_not_told_to_go_on(repeatable: bool, advised: str) -> None:
    with (
        pytest.raises(JobFailed, match=rf"full\. .*{advised}") as failure,
        _explained((), repeatable=repeatable),
    ):
        raise JobFailed(f"out.csv: cannot be written: full. {RESUME}")
    assert ("--resume" in str(failure.value)) == repeatable
