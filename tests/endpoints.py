"""Endpoints of notifications on this machine: one that listens, one that is dead, one that never answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class Endpoint:
    """A real server on a real socket, which takes what apprise posts to ``json://``.

    Attributes:
        posts: Bodies as they came.
        status: What it answers with.
    """

    port: int = 0
    posts: list[bytes] = field(default_factory=list)
    status: int = 200

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}"

    @property
    def titles(self) -> list[str]:
        return [json.loads(post)["title"] for post in self.posts]

    @property
    def texts(self) -> list[str]:
        return [json.loads(post)["message"] for post in self.posts]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """One that listens."""
    kept = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.posts.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(kept.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()


def dead_url() -> str:
    """An address at which nobody listens (any more)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"json://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def silent_url() -> Iterator[str]:
    """One that takes every connection and never says a word; apprise itself would wait for an hour."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"json://127.0.0.1:{server.getsockname()[1]}?rto=3600"
