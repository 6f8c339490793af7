"""What of an environment models, builds and the registry process get."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.processes.child_variables import (
    check_extra_names,
    for_builds,
    for_models,
    for_registry,
    with_fix,
)

ORDINARY = {
    "PATH": "/usr/bin", "HOME": "/home/m", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC",
    "OMP_NUM_THREADS": "1", "PYTHONPATH": "/srv/lib", "CUDA_VISIBLE_DEVICES": "0",
    "TOKENIZERS_PARALLELISM": "false", "HF_HOME": "/srv/hf", "TIKTOKEN_CACHE_DIR": "/srv/tiktoken",
    "MLFLOW_DEFAULT_PREDICTION_DEVICE": "cpu", "SSL_CERT_FILE": "/etc/ssl/ca.pem",
}  # fmt: skip
SECRETS = {
    "CLOCHE_API_KEYS": "k", "CLOCHE_WEBHOOK_SECRET": "s", "MLFLOW_TRACKING_PASSWORD": "p",
    "MLFLOW_TRACKING_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "a", "DATABRICKS_TOKEN": "d",
    "MY_DB_PASSWORD": "m", "MLFLOW_TRACKING_URI": "postgresql://m:p@db/mlflow",
    "HF_TOKEN": "h", "NVIDIA_API_KEY": "n", "TF_VAR_database": "v", "TF_TOKEN_host": "t",
    "https_proxy": "http://m:p@proxy:3128", "XDG_CONFIG_URL": "https://m:p@host/",
    "UV_PUBLISH_TOKEN": "u",
}  # fmt: skip
INDEX = {"PIP_INDEX_URL": "https://m:p@index/simple", "UV_INDEX_MINE_PASSWORD": "p"}
EVERYTHING = ORDINARY | SECRETS | INDEX
environments = st.dictionaries(
    st.sampled_from(sorted(EVERYTHING)) | st.text("ABC_abc", min_size=1), st.text()
)


def test_a_model_gets_what_it_needs_to_run_and_no_secret():
    assert for_models(EVERYTHING) == ORDINARY


def test_a_build_gets_besides_what_reaches_the_package_index():
    proxy = {"https_proxy": SECRETS["https_proxy"]}
    assert for_builds(EVERYTHING) == ORDINARY | INDEX | proxy


def test_the_registry_process_gets_all_but_the_servers_own_keys():
    kept = {name: value for name, value in EVERYTHING.items() if not name.startswith("CLOCHE_")}
    assert for_registry(EVERYTHING) == kept


@given(environments, st.lists(st.sampled_from(["A*", "MY_*", "AWS_SECRET_ACCESS_KEY"])))
def test_whatever_is_named_is_given_as_it_is_and_nothing_else(variables, extra_names):
    without, given_now = for_models(variables), for_models(variables, extra_names)

    assert without.items() <= given_now.items() <= variables.items()
    for name in given_now.keys() - without.keys():
        assert any(name == one or name.startswith(one.removesuffix("*")) for one in extra_names)


@given(environments, st.lists(st.text("CLO_HE*")))
def test_no_widening_gives_the_servers_own_keys(variables, extra_names):
    kept = for_models({**variables, "CLOCHE_API_KEYS": "k"}, extra_names)
    assert not any(name.startswith("CLOCHE_") for name in kept)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("CLOCHE_API_KEYS", "Give the model a variable of its own"),
        ("CLOCHE_*", "Give the model a variable of its own"),
        ("*", "expected the name of a variable"),
        ("A=1", "expected the name of a variable"),
        ("MY*APP", "expected the name of a variable"),
    ],
)
def test_a_name_that_models_never_get_is_refused_with_the_fix(name, why):
    with pytest.raises(ValueError, match=why):
        check_extra_names(["MYAPP_*", "MYAPP_KEY", name])


def test_an_error_about_a_variable_that_was_withheld_names_the_option():
    here = {"OPENAI_API_KEY": "o"}
    said = "api_key must be set, as by the OPENAI_API_KEY environment variable"

    assert with_fix(said, here).endswith("--host-env OPENAI_API_KEY)")
    assert with_fix(said, here, ["OPENAI_API_KEY"]) == said
    assert with_fix(said, {}) == said


@pytest.mark.parametrize("said", ["KeyError: 'age'", "KeyError: 'CLOCHE_API_KEYS'", "TypeError: x"])
def test_other_errors_stay_as_they_are(said):
    assert with_fix(said, {"CLOCHE_API_KEYS": "k", "x": ""}) == said


def test_a_module_that_lies_in_the_working_directory_is_told_with_the_fix(tmp_path):
    said = "ModuleNotFoundError: No module named 'features'"

    assert with_fix(said, {}, folder=tmp_path) == said
    (tmp_path / "features.py").touch()
    assert "code_paths=['features.py']" in with_fix(said, {}, folder=tmp_path)
    assert "PYTHONPATH" in with_fix("No module named 'features.daily'", {}, folder=tmp_path)
