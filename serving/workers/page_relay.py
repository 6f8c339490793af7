"""The pages on the state of the server: a worker asks its parent, which speaks for all workers."""

from collections.abc import Awaitable, Callable
from typing import Any

from cloche.serving.api.state_pages import Page, StatePages
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.processes.peer import Peer
from cloche.serving.web.asgi import Message, Scope, Send
from cloche.serving.workers.fleet import Fleet


def relayed_page(peer: Peer) -> Page:
    """Return a page that the parent answers."""

    async def page(scope: Scope, send: Send) -> None:
        accept: bytes = dict(scope["headers"]).get(b"accept", b"")
        reply = await peer.call(
            "page", path=scope["path"], query=scope["query_string"].decode("latin-1"),
            accept=accept.decode("latin-1"),
        )  # fmt: skip
        headers = [(name.encode(), value.encode()) for name, value in reply["headers"]]
        await send({"type": "http.response.start", "status": reply["status"], "headers": headers})
        await send({"type": "http.response.body", "body": reply["body"].encode()})

    return page


def page_handler(
    fleet: Fleet, models: ServedModels, pages: StatePages
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return the handler in the parent for the pages that its workers relay."""

    async def answer(path: str, query: str, accept: str) -> dict[str, Any]:
        await fleet.collect()
        for model in models:
            model.in_progress = fleet.total("in_progress", model.name)
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        found = pages.probes.get(path) or pages.guarded[path]
        headers = [(b"accept", accept.encode("latin-1"))]
        await found(
            {"path": path, "query_string": query.encode("latin-1"), "headers": headers}, send
        )
        start, body = sent
        return {
            "status": start["status"],
            "headers": [(name.decode(), value.decode()) for name, value in start["headers"]],
            "body": body["body"].decode(),
        }

    return answer
