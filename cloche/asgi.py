"""Cloche inside your own program: an ASGI application to mount, or for any ASGI server to run."""

from cloche.serving.front.mounted import Cloche
from cloche.serving.front.settings import Settings

__all__ = ["Cloche", "Settings"]
