"""A client for the query API of Prometheus, or of what answers as it does (Thanos, Mimir)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from cloche.training.errors import RegistryError

_TIMEOUT = 10.0
_OK = 200


class PrometheusAway(RegistryError):
    """Prometheus does not answer, or not as it should."""


@dataclass(frozen=True)
class Series:
    """The samples of one series.

    Attributes:
        labels: Its labels, with the name of the metric.
        samples: Times in seconds since 1970 and values, ascending by time.
    """

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float]]

    @property
    def key(self) -> frozenset[tuple[str, str]]:
        """What tells it from other series."""
        return frozenset(self.labels.items())


class PrometheusApi:
    """A Prometheus server.

    Attributes:
        address: Its address as messages show it, without a password.

    Args:
        url: Its address, like `http://prometheus:9090`, perhaps with a user and a password.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        parts = urlsplit(self._url)
        self.address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def query(self, expression: str, at: float) -> list[Series]:
        """Evaluate a PromQL expression, whose result is a vector or a matrix.

        Args:
            expression: The expression.
            at: The time for which it is evaluated, in seconds since 1970.

        Raises:
            PrometheusAway: There is no such answer.
        """
        try:
            response = requests.post(
                f"{self._url}/api/v1/query", {"query": expression, "time": f"{at:.3f}"},
                timeout=_TIMEOUT,
            )  # fmt: skip
            answer = response.json()
            if response.status_code != _OK or answer["status"] != "success":
                raise PrometheusAway(
                    f"Prometheus at {self.address} refuses a query with status "
                    f"{response.status_code}: {answer.get('error', 'it says no reason')}"
                )
            return [_series(one) for one in answer["data"]["result"]]
        except requests.Timeout:
            problem = f"does not answer within {_TIMEOUT:g} s"
        except requests.JSONDecodeError:
            problem = (
                f"answers with status {response.status_code} and no JSON: is this the address of "
                "its API, without /api/v1?"
            )
        except requests.RequestException as error:
            problem = f"cannot be asked ({type(error).__name__}): does it run, and is this its URL?"
        except (AttributeError, KeyError, TypeError, ValueError):
            problem = "answers otherwise than Prometheus does: is this the address of its API?"
        raise PrometheusAway(f"Prometheus at {self.address} {problem}")


def _series(found: Mapping[str, Any]) -> Series:
    pairs = found["values"] if "values" in found else [found["value"]]
    samples = [(float(time), float(value)) for time, value in pairs]
    return Series(found["metric"], [one for one in samples if math.isfinite(one[1])])
