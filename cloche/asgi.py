"""Cloche as an ASGI application, to mount in your own program or to run with any ASGI server."""

from cloche.serving.server.mounted_app import Cloche
from cloche.serving.settings import Settings

__all__ = ["Cloche", "Settings"]
