"""Listening sockets, with errors that name the option to change."""

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterator

from cloche.serving.errors import SettingsError

BACKLOG = 2048
"""The number of connections that may wait to be accepted."""


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def authority(host: str, port: int) -> str:
    """Return an address and a port as a URL has them: an IPv6 address is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """Open a listening socket.

    Raises:
        SettingsError: The address or the port cannot be used.
    """
    with _explained(host, port, option):
        return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)


def reserve(host: str, port: int, option: str = "--port") -> socket.socket:
    """Take a port that nothing uses, without listening, for `share` to listen on it.

    Only sockets that are bound from now on may share it: this one is bound exclusively, so a second
    server on the same port is an error.

    Raises:
        SettingsError: The address or the port cannot be used.
    """
    with _explained(host, port, option):
        reserved = _bound((host, port), socket.SO_REUSEADDR)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return reserved


def share(address: tuple[str, int]) -> socket.socket:
    """A socket on an address that is reserved; each gets its share of the connections.

    Connections come from when it listens. The kernel spreads them evenly, by a hash.
    """
    return _bound(address, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def _bound(address: tuple[str, int], *options: int) -> socket.socket:
    bound = socket.socket(_family(address[0]))
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        if bound.family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@contextlib.contextmanager
def _explained(host: str, port: int, option: str) -> Iterator[None]:
    """Turn errors of the system into `SettingsError`, which names the option to change."""
    where = f"Cannot listen on {authority(host, port)}"
    try:
        yield
    except PermissionError as error:
        raise SettingsError(
            f"{where}: ports below 1024 need rights that this user lacks. Choose another {option}."
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"{where}: something else does. Choose another {option}."
            ) from error
        raise SettingsError(
            f"{where}: this machine has no such address. Choose another --host: 127.0.0.1 for this "
            "machine alone, 0.0.0.0 for everybody."
        ) from error
