"""Listening sockets, with errors that name the option to change."""

import errno
import ipaddress
import socket

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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = f"Cannot listen on {authority(host, port)}"
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
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
