"""The health check of a container without curl: `python -m cloche.serving.server.healthcheck`.

It requests `/readyz`, prints the answer and exits with 0 or 1. The port comes from the same
environment variables as the server's; command-line options of the server are not known here.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping

_SECONDS = 4.0
_PORTS = ("CLOCHE_SERVE_PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT")


def main(environment: Mapping[str, str]) -> int:
    """Request `/readyz`, print the answer, and return the exit code."""
    port = next((environment[name] for name in _PORTS if environment.get(name)), "8080")
    try:
        connection = _connection(
            int(port), tls=bool(environment.get("CLOCHE_SERVE_TLS_CERTIFICATE"))
        )
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        message = answer.read().decode(errors="replace").strip()
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"Port {port}: {error}")  # noqa: T201  # container engines store the output
        return 1
    print(message)  # noqa: T201
    return 0 if answer.status == 200 else 1


def _connection(port: int, *, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    context = ssl.create_default_context()
    context.check_hostname = False  # the certificate names the public host, not 127.0.0.1
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS, context=context)


if __name__ == "__main__":
    sys.exit(main(os.environ))
