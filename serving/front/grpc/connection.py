"""One client's connection: bytes in and out, and how long a client may take."""

import asyncio
import logging
import ssl

from cloche.serving.front.grpc import frames
from cloche.serving.front.grpc.frames import Code, ConnectionFault
from cloche.serving.front.grpc.house import House
from cloche.serving.front.grpc.session import Session
from cloche.serving.front.grpc.windows import WindowOverrun

_KEEP_ALIVE_SECONDS = 75.0
_FAREWELL_SECONDS = 1.0
_logger = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """Speaks HTTP/2 to a client of gRPC."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._clock = house.clock
        now = self._clock()
        self._reader = frames.Reader()
        self._greeting = b""  # what came of the client's preface
        self._greeted = False
        self._heard = now
        self._begun: float | None = now  # when what is not whole yet began
        self._deaf_since: float | None = None
        self._leaving_since: float | None = None
        self._over_since: float | None = None

    # -- of asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greet the client, if there is room for it."""
        self._transport = transport
        room = self._house.enter(self)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self._session = Session(self._house, transport, self._end)
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self._end(Code.PROTOCOL_ERROR, "Over TLS, a client must ask for h2 (ALPN).")
        elif not room:
            self._end(Code.ENHANCE_YOUR_CALM, "There are too many connections.")

    def connection_lost(self, _: Exception | None) -> None:
        """Let whoever works for the client know that it left."""
        self._house.leave(self)
        self._over_since = self._over_since or self._clock()
        self._session.abandon()

    def pause_writing(self) -> None:
        """Hear no more from a client that does not listen."""
        self._session.out.paused = True
        self._deaf_since = self._clock()
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._session.out.paused = False
        self._deaf_since = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._session.out.pump()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._over_since is not None:
            return
        self._heard = self._clock()
        try:
            if not self._greeted:
                data = self._greet(data)
            whole = False
            for frame in self._reader.frames(data):
                whole = True
                self._session.take(frame, self._heard)
                if self._transport.is_closing():
                    return
        except ConnectionFault as fault:
            self._end(fault.code, str(fault))
        except WindowOverrun:
            self._end(Code.FLOW_CONTROL_ERROR, "The connection's window was overrun.")
        except Exception:
            _logger.exception("A connection failed in the front.")
            self._end(Code.INTERNAL_ERROR, "The server failed on this connection.")
        else:
            self._note_begun(whole=whole)

    # -- of the house

    def leave(self) -> None:
        """Take no more calls, and close once those that came are answered.

        What the client sends before it knows is taken still: it is told first, and asked to say
        that it heard.
        """
        if self._over_since is None and self._leaving_since is None:
            self._leaving_since = self._clock()
            self._session.leave()

    def close(self) -> None:
        """End now, whatever is under way."""
        self._end(Code.NO_ERROR, "The server ends.")
        self._transport.abort()

    def look(self, now: float) -> None:
        """End what takes its client too long."""
        patience = self._house.patience
        if self._over_since is not None:
            if now - self._over_since > patience:
                self._transport.abort()
        elif self._deaf_since is not None and now - self._deaf_since > patience:
            self._transport.abort()
        elif self._begun is not None and now - self._begun > patience:
            self._end(Code.ENHANCE_YOUR_CALM, "The rest did not arrive in time.")
        elif self._leaving_since is not None and now - self._leaving_since > _FAREWELL_SECONDS:
            self._session.take_no_more()
            self._session.look(now, patience)
        elif self._session.idle and now - self._heard > _KEEP_ALIVE_SECONDS:
            self.leave()
        else:
            self._session.look(now, patience)

    def _greet(self, data: bytes) -> bytes:
        """What follows the preface."""
        self._greeting += data
        size = len(frames.PREFACE)
        if self._greeting[:size] != frames.PREFACE[: len(self._greeting)]:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "This port speaks gRPC, over HTTP/2.")
        if len(self._greeting) < size:
            return b""
        self._greeted = True
        rest, self._greeting = self._greeting[size:], b""
        return rest

    def _note_begun(self, *, whole: bool) -> None:
        """Note since when something is not whole: a preface, a frame, a header block."""
        session = self._session
        if not session.begun or (session.waits and self._begun is not None):
            return
        if not session.waits and not self._reader.waits:
            self._begun = None
        elif whole or self._begun is None:
            self._begun = self._heard

    def _end(self, code: Code, told: str) -> None:
        """Say why, and close."""
        if self._over_since is not None:
            return
        self._over_since = self._clock()
        self._transport.write(frames.goaway(self._session.last, code, told))
        self._transport.close()
        self._session.abandon()
