"""`python -m cloche.serving.server.healthcheck`: whether the server of this container can answer.

What a container's health check runs, where there is no curl: it exits 0 or 1, and says why. The
port is read where the server reads it; options of a command line are not seen here.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping

_SECONDS = 4.0
_PORTS = ("CLOCHE_SERVE_PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT")


def main(environment: Mapping[str, str]) -> int:
    """Ask `/readyz`, print what it says, and turn it into an exit code."""
    port = next((environment[name] for name in _PORTS if environment.get(name)), "8080")
    try:
        connection = _connection(
            int(port), tls=bool(environment.get("CLOCHE_SERVE_TLS_CERTIFICATE"))
        )
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace").strip()
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"Port {port}: {error}")  # noqa: T201  # the engine keeps it beside the state
        return 1
    print(said)  # noqa: T201
    return 0 if answer.status == 200 else 1


def _connection(port: int, *, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    context = ssl.create_default_context()
    context.check_hostname = False  # the certificate is for the name that clients ask for
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS, context=context)


if __name__ == "__main__":
    sys.exit(main(os.environ))
