"""Lines of a host keep their level on the way to the server's log."""

import logging

import pytest

from cloche.serving.host import log_levels
from cloche.serving.processes.frames import Item
from tests.protocol.test_missing import columns, scorer


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL])
def test_each_line_of_a_record_has_its_level(level: int) -> None:
    record = logging.LogRecord("cloche", level, "", 0, "first\nsecond %s", ("x",), None)
    lines = log_levels.LevelFormatter().format(record).splitlines()
    assert [log_levels.read(line) for line in lines] == [(level, "first"), (level, "second x")]


@pytest.mark.parametrize("line", ["plain", "<html>", "<9>", "", "<3"])
def test_what_a_model_prints_is_information(line: str) -> None:
    assert log_levels.read(line) == (logging.INFO, line)


class Broken:
    def predict(self, data: object) -> object:
        raise ValueError


@pytest.mark.parametrize(
    ("request_id", "told"), [("", "failed."), ("r7", "failed, on request r7.")]
)
def test_a_failure_names_the_request_only_where_it_has_an_id(
    request_id: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    scoring = scorer(columns("double"))
    scoring._instrumented._model._predict_fn = Broken().predict
    body = b'{"dataframe_records": [{"x": 1.5, "id": 1}]}'
    scoring._score_alone(Item("application/json", body, request_id))
    assert caplog.records[-1].getMessage().splitlines()[0] == f"The model {told}"
    assert caplog.records[-1].levelno == logging.WARNING
