"""Cloche inside your own program: an ASGI application to mount, or for any ASGI server to run."""

from cloche.serving.server.mounted_app import Cloche
from cloche.serving.settings import Settings

__all__ = ["Cloche", "Settings"]
