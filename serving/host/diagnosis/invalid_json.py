"""Finds the position where a body is not valid JSON."""

import json
import sys

from cloche.serving.host.answers.mistake import Mistake


def explain_invalid_json(body: bytes) -> Mistake:
    """Explain why a body is not valid JSON."""
    why = "it is nested too deeply"
    try:
        json.loads(body)
    except json.JSONDecodeError as error:
        why = f"line {error.lineno}, column {error.colno} of {len(body)} bytes"
        if not body.strip():
            why = "it is empty"
    except UnicodeDecodeError as error:
        why = f"byte {error.start} is not UTF-8"
    except ValueError:
        why = f"a number has more than {sys.get_int_max_str_digits()} digits"
    except RecursionError:
        pass
    return Mistake(f"The body is not valid JSON: {why}.")
