"""A front of an S3 server that counts what is asked of it, and can hold an answer back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Front:
    """Its address, and the (method, key, bytes of the answer) of each request so far."""

    url: str = ""
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)  # a read of an object has begun
    open: threading.Event = field(default_factory=threading.Event)  # bodies of objects pass; set unless a test holds them back

    def read(self, name: str = "") -> int:
        """Bytes of objects whose key holds `name`, as they were sent so far."""
        return sum(size for method, key, size in self.asked if method == "GET" and name in key)


@contextmanager
def front_of(endpoint: str) -> Iterator[Front]:
    front = Front()
    front.open.set()
    address = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _passed(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "GET" and self.path.endswith(".parquet"):
                front.begun.set()
                front.open.wait(30)
            behind = HTTPConnection(address.hostname or "", address.port, timeout=30)
            behind.request(self.command, self.path, body, dict(self.headers))
            answer = behind.getresponse()
            sent = answer.read()
            front.asked.append((self.command, self.path, len(sent)))
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "connection", "server", "date"}:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)
            behind.close()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _passed  # noqa: N815 (http.server's names)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's names)
            """Nothing in the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    front.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield front
    front.open.set()
    server.shutdown()
    server.server_close()
