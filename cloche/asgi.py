"""Cloche inside your own program: an ASGI application to mount, or for any ASGI server to run."""

from serving.front.mounted import Cloche
from serving.front.settings import Settings

__all__ = ["Cloche", "Settings"]
