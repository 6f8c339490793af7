"""The order of the checks: the quick ones of this machine first, then those of the registry."""

import os
from collections.abc import Iterator
from pathlib import Path

from cloche.registry import connect_timeout
from cloche.serving.doctor import machine, ports, secrets
from cloche.serving.doctor.check_result import CheckResult, State, fail, warn
from cloche.serving.errors import ServingError, SettingsError
from cloche.serving.registry.uri import Reference
from cloche.serving.server import preflight
from cloche.serving.settings import Settings


def run_checks(settings: Settings, files: dict[str, Path | None]) -> Iterator[CheckResult]:
    """Run all checks for serving and scoring."""
    yield from machine.packages(settings)
    yield from machine.text(settings)
    for check, check_one in preflight.CHECKS.items():
        try:
            check_one(settings)
        except SettingsError as error:
            yield fail(check, str(error))
    yield from secrets.certificate(settings)
    yield from secrets.permissions(files)
    yield from secrets.exposure(settings)
    yield from ports.ports(settings)
    yield from machine.disk(settings)
    yield from machine.temporary(settings)
    yield from machine.open_files(settings)
    yield from _registry(settings)


def _registry(settings: Settings) -> Iterator[CheckResult]:
    connect_timeout.shorten_timeouts(os.environ)
    try:
        from cloche.serving.doctor import rollouts, tracking, versions  # noqa: PLC0415  # MLflow's import takes seconds
    except ImportError as error:
        yield machine.unimportable(error)
        return

    broken = False
    for finding in tracking.stores():
        broken = broken or finding.state is State.FAIL
        yield finding
    try:
        uris = preflight.served_uris(settings)
        asked = not broken and tracking.registry_exists()  # a client would create a missing store
        if asked and settings.all_with_alias:
            uris += versions.with_alias(settings.all_with_alias)
            if not uris:
                yield warn(
                    "models",
                    f"none has the alias {settings.all_with_alias}: there is nothing to serve",
                    "cloche status; cloche promote MODEL",
                )
    except ServingError as error:
        yield fail("models", str(error))
        return
    yield from versions.check_versions(
        settings, [uri for uri in uris if asked or uri.reference is Reference.ARTIFACTS]
    )
    if asked:
        yield from rollouts.check_rollouts(uris)
        yield from tracking.webhook(settings.webhook_secret)
