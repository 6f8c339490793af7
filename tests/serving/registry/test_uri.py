import pytest

from serving.errors import ModelUriError
from serving.registry.uri import ModelUri, Reference, parse


@pytest.mark.parametrize(
    ("text", "name", "reference", "value"),
    [
        ("models:/flights@production", "flights", Reference.ALIAS, "production"),
        ("models:/flights/7", "flights", Reference.VERSION, "7"),
        ("models:/flights/latest", "flights", Reference.LATEST, ""),
        ("models:/flights/Production", "flights", Reference.STAGE, "Production"),
        ("models:/a%20b@production", "a b", Reference.ALIAS, "production"),
        (
            "models:/main.sales.flights@production",
            "main.sales.flights",
            Reference.ALIAS,
            "production",
        ),
        ("models:/m-0123abcd", "m-0123abcd", Reference.ARTIFACTS, ""),
        ("runs:/0123/model", "0123", Reference.ARTIFACTS, ""),
        ("/srv/models/flights", "flights", Reference.ARTIFACTS, ""),
        ("s3://bucket/models/flights/artifacts", "flights", Reference.ARTIFACTS, ""),
    ],
)
def test_a_uri_says_what_is_followed(
    text: str, name: str, reference: Reference, value: str
) -> None:
    assert parse(text) == ModelUri(text, name, reference, value)


def test_a_model_can_be_served_under_another_name() -> None:
    assert parse("late=models:/flights/7") == ModelUri(
        "models:/flights/7", "late", Reference.VERSION, "7"
    )


@pytest.mark.parametrize(
    "text", ["", "models:/", "models:/flights", "models:/@production", "models:/a@"]
)
def test_what_names_no_version_is_refused(text: str) -> None:
    with pytest.raises(ModelUriError):
        parse(text)


def test_only_aliases_stages_and_latest_move() -> None:
    moving = [parse(f"models:/m{tail}").moves for tail in ("@p", "/Staging", "/latest", "/3")]
    assert moving == [True, True, True, False]
