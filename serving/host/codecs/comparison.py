"""Compares the answers of a shadow, or of production asked again, with production's first answer.

The bytes of two answers that agree may differ: by the rounding of numbers, and by the version that
some protocols repeat. Then the values in both are compared, in whatever protocol they are.
"""

import logging

from cloche.serving.host.codecs.codec import Codec
from cloche.serving.host.predictors.closeness import isclose
from cloche.serving.processes.frames import DIFFERS, JSON_BODY, NOT_FINITE, Answer, Expected, Item
from cloche.values.redaction import describe_error

_logger = logging.getLogger(__name__)


def compared(answer: Answer, item: Item, codec: Codec) -> Answer:
    """Return the answer as the front wants it: without the body, and marked if it differs.

    An answer with NaN or infinity stays marked only if production's has none.
    """
    if item.expected is None or answer.status >= 400:
        return answer
    if _agrees(answer, item.expected, codec):
        return Answer(answer.status, JSON_BODY, answer.rows, b"")
    return Answer(answer.status, answer.body_type & NOT_FINITE | DIFFERS, answer.rows, b"")


def _agrees(answer: Answer, expected: Expected, codec: Codec) -> bool:
    """Whether labels are equal, and numbers within the tolerance."""
    if answer.body == expected.body:
        return True
    try:
        own, theirs = (codec.values(one.body, one.json_size) for one in (answer, expected))
        return isclose(own, theirs, tolerance=0.0, relative=expected.tolerance)
    except Exception as error:  # noqa: BLE001  # an answer may hold what nobody can read
        _logger.warning("Two answers could not be compared: %s", describe_error(error))
        return False
