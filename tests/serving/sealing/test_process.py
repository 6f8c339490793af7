"""The sealing process itself: a bucket that is slow or away, an end, and what Spark reads."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloche import launch
from cloche.prediction_log.columns import event_id
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.maintenance.check import check
from cloche.serving.sealing.sealer import Sealer
from tests import spark
from tests.clouds.aws import REGION, Aws, moto
from tests.online import wait_for
from tests.serving.sealing.spooled import events, request, rows_at, spool_of, writer
from tests.shell import free_port

pytestmark = pytest.mark.slow


@contextmanager
def process(
    spool: Path, destination: str, interval: float = 0.1, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A sealing process, whose server ends when its input is closed."""
    spool.mkdir(exist_ok=True)
    command = launch.command("cloche.serving.sealing", str(spool), destination, str(interval))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | variables,
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


def next_line(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    return running.stdout.readline()


def end(running: "subprocess.Popen[str]") -> int:
    assert running.stdin is not None
    running.stdin.close()
    return running.wait(60)


def is_empty(spool: Path) -> bool:
    return list(spool.iterdir()) == []


def test_it_seals_until_its_server_ends_and_a_last_time_then(tmp_path: Path) -> None:
    """Signals that a terminal or systemd sends to all processes do not end it before."""
    spool, log = tmp_path / "spool", tmp_path / "log"
    spool_of(spool)
    with process(spool, str(log), interval=3600) as running:
        wait_for(lambda: is_empty(spool))
        out = writer(spool)
        out.append([request("open")], None, {"": [1.0]})
        running.send_signal(signal.SIGTERM)
        running.send_signal(signal.SIGINT)
        assert end(running) == 0
    assert is_empty(spool)
    assert set(events(rows_at(log)).values()) == {1}
    assert len(rows_at(log)) == 41
    assert check(Destination.of(str(log)), None, None).gaps == {}


def test_killed_at_random_moments_it_leaves_every_row_once(tmp_path: Path) -> None:
    """Rows go on being written, and the next process goes on with them."""
    spool, log = tmp_path / "spool", tmp_path / "log"
    out, written = writer(spool), 0
    for _ in range(5):
        with process(spool, str(log), interval=0.02) as running:
            sealed = len(list(log.rglob("*.parquet")))
            while len(list(log.rglob("*.parquet"))) < sealed + 2:
                out.append([request(f"r-{written}")], None, {"": [1.0]})
                written += 1
                time.sleep(0.001)  # a client's pace; nothing is awaited
            running.kill()
    Sealer(spool, str(log)).seal()
    assert set(events(rows_at(log)).values()) == {1}
    found = rows_at(log)["request_id"].to_pylist()
    assert sorted(found) == sorted(f"r-{n}" for n in range(written))


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto() as running:
        yield running


@contextmanager
def slow(aws: Aws, seconds: float) -> Iterator[str]:
    """The address of a bucket's server, to which each call takes so long."""
    target = urlsplit(aws.url)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(copy(reader, ours[1], seconds), copy(ours[0], writer, 0.0))

    async def copy(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                await asyncio.sleep(pause)
                writer.write(data)
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(relay, "127.0.0.1", port)
        async with server:
            begun.set()
            await asyncio.get_running_loop().run_in_executor(None, ended.wait)

    port, begun, ended = free_port(), threading.Event(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    begun.wait()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        ended.set()
        thread.join()


def bucket(aws: Aws, name: str) -> None:
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
    )


def rows_in(aws: Aws, name: str) -> pa.Table:
    """All rows of a log in a bucket."""
    client = aws.client("s3")
    keys = [one["Key"] for one in client.list_objects_v2(Bucket=name).get("Contents", [])]
    tables = [
        pq.read_table(pa.BufferReader(client.get_object(Bucket=name, Key=key)["Body"].read()))
        for key in keys
        if key.endswith(".parquet")
    ]
    return pa.concat_tables(tables, promote_options="default")


@pytest.mark.breadth
def test_a_bucket_that_takes_100_ms_for_each_call_gets_everything(tmp_path: Path, aws: Aws) -> None:
    """A backlog of many segments drains."""
    bucket(aws, "slow")
    spool = tmp_path / "spool"
    for _ in range(8):
        spool_of(spool, days=1)
    with (
        slow(aws, 0.1) as address,
        process(spool, "s3://slow/log", **aws.variables | {"AWS_ENDPOINT_URL": address}) as running,
    ):
        wait_for(lambda: is_empty(spool))
        assert end(running) == 0
    rows = rows_in(aws, "slow")
    assert len(rows) == 320
    assert set(events(rows).values()) == {1}


def test_rows_wait_while_there_is_no_bucket_and_are_moved_when_there_is(
    tmp_path: Path, aws: Aws
) -> None:
    """It is said once, with what waits where, and that it is over."""
    spool = tmp_path / "spool"
    spool_of(spool)
    with process(spool, "s3://away/log", **aws.variables) as running:
        line = next_line(running)
        assert line.startswith("WARNING The prediction log cannot be moved: s3://away/log")
        assert "Make the bucket first" in line
        assert f"Its rows wait in {spool}" in line
        spool_of(spool)
        assert len(list(spool.glob("*.segment"))) == 2
        bucket(aws, "away")
        assert "takes rows again" in next_line(running)
        wait_for(lambda: is_empty(spool))
        assert end(running) == 0
    assert set(events(rows_in(aws, "away")).values()) == {1}
    assert len(rows_in(aws, "away")) == 80


@pytest.mark.breadth
def test_spark_reads_the_same_rows(tmp_path: Path) -> None:
    """Past one machine the log is read as it is, by day, and rows have the same identifiers."""
    spark.needed()
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    spool, log = tmp_path / "spool", tmp_path / "log"
    spool_of(spool)
    Sealer(spool, str(log)).seal()
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    try:
        frame = session.read.option("basePath", str(log)).parquet(f"{log}/model=flight%20delay")
        digits = f.md5(f.concat_ws("/", "segment", "place"))
        micros = f.unix_micros("received_at")
        rows = frame.select("request_id", "i_a", "o_", "date", "place", "segment",
                            micros.alias("us"), digits.alias("digits")).collect()  # fmt: skip
    finally:
        session.stop()
    table = rows_at(log)
    assert {(r["request_id"], r["i_a"], r["o_"]) for r in rows} == set(
        zip(*(table[name].to_pylist() for name in ("request_id", "i_a", "o_")), strict=True)
    )
    assert {str(r["date"]) for r in rows} == {"2025-12-01", "2025-12-02", "2025-12-03"}
    for row in rows:
        known = event_id(row["us"], row["segment"], row["place"]).replace("-", "")
        assert known[13:16] + known[17:] == row["digits"][:18]
