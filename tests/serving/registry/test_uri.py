import re
from pathlib import Path

import pytest

from cloche.serving.errors import ModelUriError
from cloche.serving.registry.uri import _STORES, ModelUri, Reference, parse


@pytest.mark.parametrize(
    ("text", "name", "reference", "value"),
    [
        ("models:/flights@production", "flights", Reference.ALIAS, "production"),
        ("models:/flights/7", "flights", Reference.VERSION, "7"),
        ("models:/flights/latest", "flights", Reference.LATEST, ""),
        ("models:/flights/Production", "flights", Reference.STAGE, "Production"),
        ("models:/a%20b@production", "a%20b", Reference.ALIAS, "production"),  # as in MLflow
        ("models:/a@b/7", "a@b", Reference.VERSION, "7"),
        ("models:/main.sales.flights@prod", "main.sales.flights", Reference.ALIAS, "prod"),
        ("models:/m-0123abcd", "m-0123abcd", Reference.ARTIFACTS, ""),
        ("runs:/0123/model", "0123", Reference.ARTIFACTS, ""),
        ("s3://bucket/models/flights/artifacts", "flights", Reference.ARTIFACTS, ""),
    ],
)
def test_a_uri_says_what_is_followed(
    text: str, name: str, reference: Reference, value: str
) -> None:
    model = "" if reference is Reference.ARTIFACTS else name
    assert parse(text) == ModelUri(text, name, reference, value, model)
    assert parse(f"late={text}") == ModelUri(text, "late", reference, value, model)


def test_a_folder_is_served_by_its_own_name(tmp_path: Path) -> None:
    assert parse(str(tmp_path)) == ModelUri(str(tmp_path), tmp_path.name, Reference.ARTIFACTS)


@pytest.mark.parametrize("name", ["a#b", "a?b", "100%41", "a:b"])
def test_nothing_is_read_into_the_name_of_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert parse(str(tmp_path / name)).name == name


def test_stores_are_those_that_mlflow_knows() -> None:
    from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry

    assert _artifact_repository_registry._registry.keys() - {"", "models"} == _STORES


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("", 1), ("models:/", 1), ("models:/@production", 1), ("models:/a@", 1),
        ("models:/flights", 3), ("models:/flights/", 3), ("modls:/flights@production", 3),
        ("nowhere/flights", 1), ("s3://bucket/model", 1),
    ],
)  # fmt: skip
def test_what_is_advised_in_its_place_can_be_followed(text: str, ways: int) -> None:
    with pytest.raises(ModelUriError) as refused:
        parse(text)
    said = str(refused.value).removeprefix(f"{text}:").replace("NAME=URI", f"NAME={text}")
    advised = re.findall(r"(?:NAME=)?(?:models|runs|s3):/[^\s,]+(?<!\.)", said)
    assert len(advised) == ways
    assert all(parse(one).name for one in advised)
