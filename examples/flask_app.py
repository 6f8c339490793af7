"""A guest book in Flask that asks a model about each comment before it is stored.

Start the server and the program with:

cloche serve models:/comment-abuse@production
CLOCHE_URL=http://127.0.0.1:8080 flask --app examples/flask_app.py run
"""

import os
import sqlite3
from contextlib import closing
from typing import Any

from flask import Flask, request

from cloche.client import Client, ClientError

DATABASE = os.environ.get("GUEST_BOOK", "guest-book.db")
app = Flask(__name__)
judge = Client(os.environ.get("CLOCHE_URL", "http://127.0.0.1:8080"), timeout=2.0)

with closing(sqlite3.connect(DATABASE)) as database, database:
    database.execute("CREATE TABLE IF NOT EXISTS comments (text TEXT, judged_by TEXT)")


@app.post("/comments")
def write() -> tuple[dict[str, Any], int]:
    """Store a comment, unless it is abusive or the model cannot be reached."""
    text = (request.get_json(silent=True) or {}).get("text")
    if not isinstance(text, str) or not text.strip():
        return {"error": "Send a text."}, 400
    try:
        answer = judge.predict([{"text": text}])
    except ClientError as error:
        app.logger.warning("No verdict: %s", error)
        return {"error": "Comments cannot be taken right now; try again soon."}, 503
    if answer.values[0]["prediction"] == 1:
        return {"error": "Please say it kindly."}, 422
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("INSERT INTO comments VALUES (?, ?)", (text, answer.version))
    return {"text": text}, 201


@app.get("/comments")
def read() -> list[dict[str, str]]:
    """Return all comments, each with the model version that judged it."""
    with closing(sqlite3.connect(DATABASE)) as database:
        rows = database.execute("SELECT text, judged_by FROM comments").fetchall()
    return [{"text": text, "judged_by": version} for text, version in rows]
