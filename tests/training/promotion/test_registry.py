"""Finding things, and saying what is there instead."""

import pytest

from cloche.registry.version_listing import registered_models, versions_of
from cloche.training.errors import RegistryError
from cloche.training.promotion.registry import find_model, find_version, join_names


def test_a_model_has_its_aliases_by_name(client, log_version):
    log_version()
    client.set_registered_model_alias("flight-delay", "canary", "1")
    found = find_model(client, "flight-delay")
    assert found.aliases == {"challenger": "1", "canary": "1"}
    assert (found.challenger, found.production, found.previous) == ("1", None, None)


def test_an_empty_registry_says_so(client):
    with pytest.raises(RegistryError, match=r"no registered model 'churn'.*the registry is empty"):
        find_model(client, "churn")


def test_a_missing_version_is_answered_with_those_that_are_there(client, log_version):
    log_version()
    with pytest.raises(RegistryError, match="no version 2; there are 1"):
        find_version(client, "flight-delay", "2")
    with pytest.raises(RegistryError, match="no version latest; there are 1"):
        find_version(client, "flight-delay", "latest")


def test_all_versions_and_models_are_found_beyond_the_first_page(client):
    for n in range(101):
        client.create_registered_model(f"model {n:03}")
    client.create_registered_model("it's")
    for _ in range(3):
        client.create_model_version("it's", "somewhere")
    assert len(registered_models(client)) == 102
    assert [str(version.version) for version in versions_of(client, "it's")] == ["3", "2", "1"]


def test_a_list_for_a_message_ends_where_reading_ends():
    assert join_names(["a", "b"]) == "a, b"
    assert join_names(str(n) for n in range(25)).endswith("18, 19 and 5 more")
