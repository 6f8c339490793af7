import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from cloche.serving.web.webhook_signature import is_genuine

DIGITS = (20, 400, 5_000)  # more than a time, a float, and what Python reads as a number
NOW = 1_700_000_000
SIGNED = {
    b"x-mlflow-delivery-id": b"d1",
    b"x-mlflow-timestamp": str(NOW).encode(),
    b"x-mlflow-signature": _generate_hmac_signature("secret", "d1", str(NOW), "{}").encode(),
}


def test_what_mlflow_signed_is_genuine() -> None:
    assert is_genuine(SIGNED, b"{}", "secret", NOW + 10)


@pytest.mark.parametrize(
    ("changed", "payload", "secret", "now"),
    [
        ({}, b"{}", "other", NOW),
        ({}, b"[]", "secret", NOW),
        ({}, b"{}", "secret", NOW + 301),
        ({b"x-mlflow-delivery-id": b"d2"}, b"{}", "secret", NOW),
        ({b"x-mlflow-timestamp": b""}, b"{}", "secret", NOW),
        ({b"x-mlflow-signature": b""}, b"{}", "secret", NOW),
        *(({b"x-mlflow-timestamp": b"9" * digits}, b"{}", "secret", NOW) for digits in DIGITS),
    ],
)
def test_everything_else_is_not(
    changed: dict[bytes, bytes], payload: bytes, secret: str, now: float
) -> None:
    assert not is_genuine(SIGNED | changed, payload, secret, now)
