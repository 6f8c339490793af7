"""A FastAPI program with an embedded Cloche server, which it calls without a network.

Start it with:

MODEL_URI=models:/comment-abuse@production uvicorn --app-dir examples fastapi_app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from cloche.asgi import Cloche, Settings
from cloche.client import AsyncClient, ClientError

cloche = Cloche(Settings(models=(os.environ.get("MODEL_URI", "models:/comment-abuse@production"),)))
judge = AsyncClient("http://cloche", transport=httpx2.ASGITransport(cloche), timeout=5.0)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start and stop the embedded server together with the program."""
    async with cloche.lifespan(app), judge:
        yield


app = FastAPI(title="Comments", lifespan=lifespan)
app.mount("/models", cloche)  # its probes, metrics and /invocations, for other clients


class Comment(BaseModel):
    """What somebody wrote."""

    text: str


class Verdict(BaseModel):
    """Whether it is abusive, and which version says so."""

    abusive: bool
    probability: float
    version: str


@app.post("/verdicts")
async def verdict(comment: Comment) -> Verdict:
    """Judge a comment."""
    try:
        answer = await judge.predict([{"text": comment.text}])
    except ClientError as error:
        raise HTTPException(503, f"No verdict right now: {error}") from error
    (row,) = answer.values
    return Verdict(
        abusive=row["prediction"] == 1, probability=row["probability"], version=answer.version
    )
