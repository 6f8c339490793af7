"""Selection of the environment variables that a child process gets.

The code of a model, and of the packages that it requires, is not trusted: it gets only the
variables in the lists below, and none of the server's secrets. The functions take the variables as
an argument, and this module knows nothing of processes. SECURITY.md describes the lists.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_OURS = "CLOCHE_"  # the server's settings and keys
# Prefixes that are never given, although `TF_*` or `UV_*` in a list matches them.
_NEVER_LISTED = ("TF_VAR_", "UV_PUBLISH_")

# Each entry is a name, or a prefix that ends in `*`.
_FOR_MODELS = (
    # the interpreter, the C library, locale, time zone, temporary files and caches
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "HOSTNAME", "PWD", "LANG", "LANGUAGE",
    "LC_*", "TZ", "TZDIR", "TMPDIR", "TMP", "TEMP", "XDG_*", "PYTHON*", "VIRTUAL_ENV",
    "CONDA_PREFIX", "LD_*", "DYLD_*", "MALLOC_*", "GLIBC_TUNABLES", "OPENSSL_CONF",
    "OPENSSL_MODULES", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "GIT_PYTHON_REFRESH", "DO_NOT_TRACK",
    # numerical libraries
    "OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "VECLIB_*", "NUMEXPR_*", "NUMBA_*",
    "ARROW_*", "POLARS_*", "JOBLIB_*", "LOKY_*", "SKLEARN_*", "SCIPY_*", "ONEDNN_*", "DNNL_*",
    "MPLBACKEND", "MPLCONFIGDIR",
    # accelerators and the frameworks that use them
    "CUDA_*", "NVIDIA_*", "CUDNN_*", "CUBLAS_*", "NCCL_*", "HIP_*", "HSA_*", "ROCR_*", "ROCM_*",
    "ONEAPI_*", "SYCL_*", "ZE_*", "NEURON_*", "TPU_*", "TF_*", "TFHUB_CACHE_DIR", "XLA_*",
    "TORCH_*", "PYTORCH_*", "TRITON_*", "JAX_*", "ORT_*", "KERAS_*",
    # language models, and where their files are
    "HF_*", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_*", "TOKENIZERS_*", "SENTENCE_TRANSFORMERS_HOME",
    "NLTK_DATA", "TIKTOKEN_CACHE_DIR",
    # models that run on Spark
    "JAVA_HOME", "HADOOP_HOME", "SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_IP",
    "SPARK_LOCAL_DIRS", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON",
    # MLflow, when it loads a model and calls it
    "MLFLOW_ALLOW_FILE_STORE", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_CONFIGURE_LOGGING",
    "MLFLOW_CONVERT_MESSAGES_DICT_FOR_LANGCHAIN", "MLFLOW_DEFAULT_PREDICTION_DEVICE",
    "MLFLOW_DFS_TMP", "MLFLOW_DISABLE_HUGGINGFACE_ACCELERATE_FEATURES",
    "MLFLOW_DISABLE_SCHEMA_DETAILS", "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "MLFLOW_HUGGINGFACE_*", "MLFLOW_LOGGING_LEVEL",
    "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK",
    "SERVING_MODEL_CONFIG",
)  # fmt: skip

# Additional variables of installers and compilers, including credentials of a package index.
_FOR_BUILDS = (
    "PIP_*", "UV_*", "VIRTUALENV_*", "NETRC", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "all_proxy", "http_proxy", "https_proxy", "no_proxy", "CC", "CXX", "FC", "CFLAGS", "CXXFLAGS",
    "CPPFLAGS", "FFLAGS", "LDFLAGS", "MAKEFLAGS", "CMAKE_*", "PKG_CONFIG_PATH", "SETUPTOOLS_*",
    "CARGO_HOME", "RUSTUP_HOME", "RUSTFLAGS", "SOURCE_DATE_EPOCH",
)  # fmt: skip

_SECRET_WORDS = {
    "APIKEY", "AUTH", "CREDENTIAL", "CREDENTIALS", "KEY", "KEYS", "PASS", "PASSPHRASE", "PASSWD",
    "PASSWORD", "SECRET", "SECRETS", "TOKEN", "TOKENS",
}  # fmt: skip
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/\s]*@")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")


def for_models(variables: Mapping[str, str], extra_names: Iterable[str] = ()) -> dict[str, str]:
    """Return the variables for a process that runs a model.

    Args:
        variables: The variables of this process.
        extra_names: Further names for models, or prefixes that end in `*`; see `check_extra_names`.
    """
    named = tuple(extra_names)
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith(_OURS)
        and (_matches(name, named) or _is_listed(name, value, _FOR_MODELS))
    }


def for_builds(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for installers, which run the setup code of packages."""
    given = for_models(variables)
    listed = {name for name in variables if _matches(name, _FOR_BUILDS)}
    return {
        name: value
        for name, value in variables.items()
        if name in given or (name in listed and not name.startswith(_NEVER_LISTED))
    }


def for_registry(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a process that reads the registry and the artifact store.

    These are all but Cloche's own: stores are plugins, so their variables cannot be listed, and no
    code of a model runs in that process.
    """
    return {name: value for name, value in variables.items() if not name.startswith(_OURS)}


def check_extra_names(names: Iterable[str]) -> None:
    """Refuse names that models can never get.

    Raises:
        ValueError: A name is not allowed; the message names the option and the fix.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"--host-env {name}: expected the name of a variable, or the beginning of names "
                "and a *: --host-env MYAPP_TOKEN, --host-env 'MYAPP_*'"
            )
        if name.startswith(_OURS):
            raise ValueError(
                f"--host-env {name}: variables that begin with CLOCHE_ are settings and keys of "
                "the server, and no model gets them. Give the model a variable of its own, like "
                "MYAPP_KEY."
            )


def with_fix(
    text: str,
    variables: Mapping[str, str],
    extra_names: Iterable[str] = (),
    folder: Path = Path(),  # immutable, so safe as a default
) -> str:
    """Return the message of a model's process, with the fix if it lacks a variable or a module.

    The lacking item is a variable that was withheld from the model, or a module in the working
    directory, from which MLflow's own server imports.

    Args:
        text: The message of an error, or a line of the log.
        variables: The variables of this process.
        extra_names: The argument `extra_names` that `for_models` was called with.
        folder: The working directory.
    """
    if absent := re.search(r"No module named '(\w+)", text):
        found = [path for path in (f"{absent[1]}.py", absent[1]) if (folder / path).exists()]
        return text if not found else (
            f"{text} ({found[0]} lies in the working directory, from which Cloche imports nothing: "
            f"log the model with code_paths=[{found[0]!r}], or name the folder in PYTHONPATH)"
        )  # fmt: skip
    if "KeyError" not in text and "environment variable" not in text:
        return text
    given = for_models(variables, extra_names)
    for name in re.findall(r"\w+", text):
        if name in variables and name not in given and not name.startswith(_OURS):
            return (
                f"{text} (The variable {name} is in the environment of the server but not given to "
                f"models: --host-env {name})"
            )
    return text


def _is_listed(name: str, value: str, listed: Iterable[str]) -> bool:
    """Whether the list contains a variable whose name and value do not look like a secret."""
    if name.startswith(_NEVER_LISTED):
        return False
    if not _SECRET_WORDS.isdisjoint(name.upper().split("_")) or _PASSWORD_IN_URL.search(value):
        return False
    return _matches(name, listed)


def _matches(name: str, listed: Iterable[str]) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in listed)
