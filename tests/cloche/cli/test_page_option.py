"""A page is written over a page, and over nothing else."""

import click
import pytest
from click.testing import CliRunner

from cloche.cli.page_option import PageFile
from cloche.serving.cli.report import report
from cloche.training.cli.promote import promote


@click.command()
@click.option("--to", type=PageFile())
def write(to):
    to.write_text("<!doctype html>")


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (None, False), (b"", False), (b"<!DOCTYPE html>\n", False), (b"<!doctype html><p>", False),
        (b"a,b\n1,2\n", True), (b"task: binary\n", True), (b"\x00", True), (b"PAR1", True),
    ],
)  # fmt: skip
def test_what_is_no_page_stays(content, kept, tmp_path):
    path = tmp_path / "scores.csv"
    if content is not None:
        path.write_bytes(content)
    result = CliRunner().invoke(write, ["--to", str(path)])
    assert result.exit_code == (2 if kept else 0)
    assert path.read_bytes() == (content if kept else b"<!doctype html>")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(report, ["scores.csv", "--to"]), (promote, ["churn", "--policy", "gate.yaml", "--report"])],
)
def test_commands_refuse_before_they_work(command, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a\n1\n")
    result = CliRunner().invoke(command, [*arguments, "data.csv"])
    assert result.exit_code == 2
    assert "no HTML page; name another file." in result.stderr
    assert CliRunner().invoke(command, [*arguments, "page.html"]).exit_code != 2
