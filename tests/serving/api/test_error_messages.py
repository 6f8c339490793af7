"""What a client is told of a request that no host answered."""

from typing import Any
from unittest.mock import Mock

import pytest

from cloche.serving.api.exchange import Exchange
from cloche.serving.api.predictions import PredictionService
from cloche.serving.processes.frames import Item
from cloche.serving.queue import prediction_request as ends
from cloche.serving.queue.prediction_request import (
    PredictionRequest,
    RequestEnded,
    StageProgress,
    StageVisit,
)
from cloche.serving.settings import Settings
from cloche.serving.web.asgi import HttpError
from tests.in_a_loop import in_a_loop

IN_STAGE = StageProgress("features/3", 1, [StageVisit("features", "3", 0.0)])
IN_MODEL = StageProgress("features/3", 1, [*IN_STAGE.visits, StageVisit("", "", 0.0)])


@pytest.mark.parametrize("stages", [None, IN_MODEL, IN_STAGE])
@pytest.mark.parametrize(
    ("reason", "of_model", "of_stage"),
    [
        (ends.EXPIRED, "(--request-timeout).",
         "(--request-timeout). The stage features 3 had the request."),
        (ends.CUT_OFF, "The model did not answer within 5 s",
         "The stage features 3 did not answer within 5 s"),
        (ends.HOST_LOST, "Two model hosts were lost", "Two hosts of the stage features 3 were"),
        (ends.NOT_REPEATED, "The model host was lost on this request. The version's tag "
         "cloche.retry is off: the model was not asked again", "The host of the stage features 3 "
         "was lost on this request. The version's tag cloche.retry is off: the stage features 3 "
         "was not asked again"),
    ],
)  # fmt: skip
@in_a_loop
async def test_the_stage_that_had_the_request_is_named(
    stages: StageProgress | None, reason: str, of_model: str, of_stage: str
) -> None:
    anything: Any = Mock()
    settings = Settings(models=("models:/m/1",), predict_timeout=5.0)
    request = PredictionRequest(
        rows=1, size=1, arrived=0.0, deadline=60.0, item=Item("", b""), receiver=anything,
        client_left=lambda: False, stages=stages,
    )  # fmt: skip
    exchange = Exchange(anything, {}, anything, b"1", 0.0, "1", b"", request)
    error = PredictionService(settings, anything, anything).error_of(exchange, RequestEnded(reason))
    assert isinstance(error, HttpError)
    message = str(error)
    assert (of_stage if stages is IN_STAGE else of_model) in message
    assert ("features" in message) is (stages is IN_STAGE)
