"""The check of Host headers, a protection against DNS rebinding. Pure.

A page of another site can point its own DNS name at this machine. To the browser, the server is
then the page's own origin, and only the Host header, which no page can set, still holds the foreign
name. API keys protect better, so a server with keys checks host names only if `--allowed-hosts`
is given.
"""

import ipaddress
import logging
from collections.abc import Iterable
from fnmatch import fnmatchcase

from cloche.serving.settings import Settings
from cloche.serving.web.asgi import HttpError
from cloche.serving.web.sockets import is_loopback

ANY = "*"
# Nobody can register a name with these endings: RFC 6762, RFC 8375, names that ICANN reserved or
# refused to delegate, and the names of Kubernetes services.
_PRIVATE = ("corp", "home", "home.arpa", "internal", "intranet", "lan", "local", "localhost", "svc")
_REMEMBERED = 1024
_LOGGED = 20
_REFUSAL = (
    "This server is not known by the name in the Host header. Ask it by another, or start it with "
    "--allowed-hosts NAME."
)
_logger = logging.getLogger(__name__)


class AllowedHosts:
    """The check of the Host headers of requests."""

    def __init__(self, named: Iterable[str] = (ANY,), *, private: bool = False) -> None:
        """Prepare the check.

        Args:
            named: The allowed names beside loopback. `*` stands for any text, and a name without
                a port for every port, as in MLflow's `--allowed-hosts`.
            private: Whether addresses, and names that nobody can register, are allowed as well.
        """
        self._named = [name.lower() for name in named]
        self._private = private
        self._known: set[bytes] = set()  # headers that were allowed
        self._refused: set[bytes] = set()  # headers whose refusal was logged

    @property
    def guarded(self) -> bool:
        """Whether any names are refused."""
        return ANY not in self._named

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Check the Host header. Requests without one do not come from a browser, and pass.

        Raises:
            HttpError: The host is not allowed.
        """
        for name, value in headers:
            if name == b"host":
                if value not in self._known:
                    self._judge(value)
                return

    def _judge(self, value: bytes) -> None:
        if self._allows(value.decode("latin-1").strip().lower()):
            if len(self._known) < _REMEMBERED:
                self._known.add(value)
            return
        if value not in self._refused and len(self._refused) < _LOGGED:
            self._refused.add(value)
            told = value[:256].decode("latin-1")
            _logger.warning(
                "A request for the host %r was refused. If this server has that name, start it "
                "with --allowed-hosts and the name.", told,
            )  # fmt: skip
        raise HttpError(403, "PERMISSION_DENIED", _REFUSAL)

    def _allows(self, host: str) -> bool:
        name = _without_port(host)
        if is_loopback(name.strip("[]")):
            return True
        if any(
            one == told or fnmatchcase(told, one) for one in self._named for told in (host, name)
        ):
            return True
        return self._private and _is_private(name)


def allowed_hosts(settings: Settings) -> AllowedHosts:
    """The check of Host headers for a server with these settings."""
    named = settings.allowed_hosts
    if not named and (settings.api_keys or settings.cloud_contract):
        return AllowedHosts()  # a cloud's gateway uses host names that it does not publish
    host = settings.host
    own = f"[{host}]" if ":" in host else host
    return AllowedHosts((*named, own), private=not is_loopback(host))


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdecimal() or not port) else host


def _is_private(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        name = name.removesuffix(".")
        return "." not in name or name.endswith(tuple(f".{one}" for one in _PRIVATE))
    return True
