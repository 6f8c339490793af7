"""The checks before anything starts, so that an error appears at once and names its option."""

import importlib.util
import os
import shlex
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cloche.processes.private_folders import make_private
from cloche.registry import env_manager
from cloche.registry.stage_names import NO_STAGE
from cloche.serving.errors import ModelUriError, SettingsError
from cloche.serving.registry.uri import ModelUri, parse
from cloche.serving.settings import Settings
from cloche.serving.spool.log_plan import ALL_INPUTS, DESTINATION_NAME, PROMISES

_SHORTEST_LOG_KEY = 16


def check(settings: Settings) -> list[ModelUri]:
    """Check that the settings can be used, and return the URIs of the models to serve.

    Raises:
        ModelUriError: A model URI cannot be parsed.
        SettingsError: Another setting cannot be used.
    """
    uris = served_uris(settings)
    for check_one in CHECKS.values():
        check_one(settings)
    return uris


def served_uris(settings: Settings) -> list[ModelUri]:
    """The URIs of the models in the settings, which must have different names.

    Raises:
        ModelUriError: A model URI cannot be parsed.
        SettingsError: Two models have the same name.
    """
    uris = [replace(parse(text), before=settings.before) for text in settings.models]
    if settings.before not in ("", NO_STAGE):
        try:
            parse(settings.before)
        except ModelUriError as error:
            raise ModelUriError(f"--before {error}") from error
    names = Counter(uri.name for uri in uris)
    for uri in uris:
        if names[uri.name] > 1:
            raise SettingsError(
                f"{uri.text}: another model is served under the name {uri.name!r} as well. Give "
                f"one of them a name of its own: {shlex.quote(f'NAME={uri.text}')}"
            )
    return uris


def _check_grpc(settings: Settings) -> None:
    if settings.grpc_port is not None and importlib.util.find_spec("grpc") is None:
        raise SettingsError(
            "--grpc-port needs a package that is not installed: pip install 'cloche[grpc]'"
        )


def _check_environments(settings: Settings) -> None:
    if settings.env_manager != env_manager.LOCAL:
        try:
            env_manager.tool_command(settings.env_manager)
        except env_manager.ManagerMissing as error:
            raise SettingsError(str(error)) from error


def _check_cache(settings: Settings) -> None:
    directory = settings.cache_directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"--cache-dir {directory}: {error.strerror}. Choose another."
        ) from error
    if not os.access(directory, os.W_OK):
        raise SettingsError(f"--cache-dir {directory}: it cannot be written. Choose another.")


def _check_tls(settings: Settings) -> None:
    """Load the certificate and the key, as the server will."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if not certificate or not key:
        return
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        if asked:
            raise SettingsError(
                f"--tls-key {key}: it is encrypted, and nobody is there to type a passphrase. Give "
                f"one without: openssl pkey -in {shlex.quote(str(key))} -out FILE"
            ) from error
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise SettingsError(
                f"--tls-key {key} is not the key of --tls-certificate {certificate}."
            ) from error
        raise SettingsError(
            f"--tls-certificate {certificate} and --tls-key {key} must be PEM files, the "
            f"certificate first in its chain: {error}"
        ) from error


def _check_log(settings: Settings) -> None:
    """Check the options of the prediction log, and make its folder."""
    if (plan := settings.log_plan) is None:
        return
    if settings.log_promise not in PROMISES:
        raise SettingsError(
            f"--log-promise {settings.log_promise}: there is no such promise. Choose one of "
            f"{', '.join(PROMISES)}."
        )
    if not 0 < settings.log_sample <= 1:
        raise SettingsError(
            f"--log-sample {settings.log_sample:g}: the share must be above 0 and at most 1."
        )
    kept = settings.log_inputs
    if kept != ALL_INPUTS and (hidden := set(settings.log_hash) - set(kept)):
        raise SettingsError(
            f"--log-hash names {', '.join(sorted(hidden))}, and --log-inputs does not: nothing of "
            "them is kept. Name them there too."
        )
    if (settings.log_hash or settings.log_subject) and len(settings.log_key) < _SHORTEST_LOG_KEY:
        option = "--log-hash" if settings.log_hash else "--log-subject"
        raise SettingsError(
            f"{option} needs a secret of at least {_SHORTEST_LOG_KEY} characters in the variable "
            "CLOCHE_LOG_KEY, the same for all servers of the log: openssl rand -hex 32"
        )
    folder = Path(plan.folder)
    try:
        make_private(folder)
        (folder / DESTINATION_NAME).write_text(settings.log)
    except OSError as error:
        raise SettingsError(f"--log-spool {folder}: {error.strerror}. Choose another.") from error


CHECKS: dict[str, Callable[[Settings], None]] = {
    "TLS": _check_tls,
    "gRPC": _check_grpc,
    "environments": _check_environments,
    "cache": _check_cache,
    "log": _check_log,
}
"""The checks by their subject; each raises `SettingsError`."""
