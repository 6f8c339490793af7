"""Checks of files that hold secrets, and of the protection of a server that others can reach."""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloche.serving.doctor.check_result import CheckResult, fail, ok, warn
from cloche.serving.settings import Settings
from cloche.serving.web.sockets import authority, is_loopback

_SOON = timedelta(days=14)


def permissions(files: dict[str, Path | None]) -> Iterator[CheckResult]:
    """Check that no other user can read the files of secrets, each given by its option."""
    for option, file in files.items():
        if file is None:
            continue
        mode = file.stat().st_mode & 0o777
        if mode & 0o044:
            typed = f"chmod 600 {shlex.quote(str(file))}"
            yield warn(option, f"{file} can be read by others (mode {mode:03o})", typed)
        else:
            yield ok(option, f"{file} is closed to others")


def exposure(settings: Settings) -> Iterator[CheckResult]:
    """Check that a server that other machines can reach requires API keys and has TLS."""
    if is_loopback(settings.host):
        return
    address = authority(settings.host, settings.port)
    if not settings.api_keys:
        yield warn(
            "API keys",
            f"everybody who reaches {address} may ask for predictions",
            "openssl rand -hex 32 > keys; chmod 600 keys; cloche serve --api-keys-file keys …",
        )
    elif not settings.tls_certificate:
        yield warn(
            "TLS",
            f"API keys reach {address} unencrypted, unless a proxy has TLS",
            "--tls-certificate FILE --tls-key FILE",
        )


def certificate(settings: Settings) -> Iterator[CheckResult]:
    """Check the expiry of the certificate; `preflight` checks whether it can be loaded."""
    if settings.tls_certificate is None:
        return
    from cryptography import x509  # noqa: PLC0415  # only needed for a certificate

    try:
        found = x509.load_pem_x509_certificate(settings.tls_certificate.read_bytes())
    except ValueError:
        return
    ends, now = found.not_valid_after_utc, datetime.now(UTC)
    says = f"{settings.tls_certificate} is good until {ends:%Y-%m-%d %H:%M} UTC"
    if ends <= now:
        yield fail(
            "certificate",
            f"{settings.tls_certificate} ended on {ends:%Y-%m-%d %H:%M} UTC",
            "renew it, then restart the server",
        )
    elif ends - now < _SOON:
        yield warn("certificate", says, "renew it, then restart the server")
    else:
        yield ok("certificate", says)
