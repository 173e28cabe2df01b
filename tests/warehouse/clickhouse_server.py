"""ClickHouse's HTTP protocol over one chDB session: enough of a server to test the real HTTP client path.

`python clickhouse_server.py FOLDER` prints its port and the queries' tags go to FOLDER.log, one JSON object per query.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import chdb
import lz4.frame

PASSWORD = "never in SQL"
TRANSPORT = {
    "query", "database", "query_id", "session_id", "wait_end_of_query", "client_protocol_version", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "enable_http_compression", "cancel_http_readonly_queries_on_client_close", "buffer_size",
}  # fmt: skip
FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
INSERT = re.compile(r"^\s*INSERT\s+INTO\s+.*?\sFORMAT\s+(\w+)[ \t]*\n?", re.IGNORECASE | re.DOTALL)


class Engine:
    """One session; one query at a time, with the settings of that query."""

    def __init__(self, folder: str) -> None:
        self.session = chdb.connect(folder)
        self.lock = threading.Lock()
        self.log = Path(f"{folder}.log")

    def run(self, query: str, body: bytes, url: dict[str, str]) -> bytes:
        settings = {k: v for k, v in url.items() if k not in TRANSPORT and not k.startswith("param_")}
        bound = {k.removeprefix("param_"): v for k, v in url.items() if k.startswith("param_")}
        with self.lock, self.log.open("a") as log:
            log.write(json.dumps({"query": query, "params": bound, "settings": settings, "bytes": len(body)}) + "\n")
            log.flush()
            self.session.query(f"USE `{url.get('database', 'default')}`")
            for name, value in settings.items():
                self.session.query(f"SET {name} = '{value}'")
            try:
                return self._run(query, body, bound)
            finally:
                for name in settings:
                    self.session.query(f"SET {name} = DEFAULT")

    def _run(self, query: str, body: bytes, bound: dict[str, str]) -> bytes:
        if body:
            with tempfile.NamedTemporaryFile() as file:
                file.write(body)
                file.flush()
                statement = re.sub(r"\sFORMAT\s+(\w+)\s*$", rf" FROM INFILE '{file.name}' FORMAT \1", query.strip())
                return self.session.query(statement, "TabSeparated", params=bound).bytes()
        found = FORMAT.search(query)
        return self.session.query(query, found.group(1) if found else "TabSeparated", params=bound).bytes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts: list[bytes] = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            raw = b"".join(parts)
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return _frames(raw) if self.headers.get("Content-Encoding") == "lz4" else raw

    def _answer(self, body: bytes) -> None:
        if not self._is_known():
            self._send(
                403, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)", {"X-ClickHouse-Exception-Code": "516"}
            )
            return
        url = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}
        try:
            query, data = _parted(url, body)
            self._send(200, self.engine.run(query, data, url), {"X-ClickHouse-Summary": "{}"})
        except Exception as error:  # noqa: BLE001  whatever went wrong is the answer
            self._send(500, str(error).encode(), {"X-ClickHouse-Exception-Code": "1"})

    def _is_known(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        return b64decode(given).decode() == f"default:{PASSWORD}"

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def _frames(raw: bytes) -> bytes:
    """All LZ4 frames: the client sends one per block, and stopping after the first would lose rows without an error."""
    parts: list[bytes] = []
    while raw:
        decoder = lz4.frame.LZ4FrameDecompressor()
        parts.append(decoder.decompress(raw))
        raw = decoder.unused_data or b""
    return b"".join(parts)


def _parted(url: dict[str, str], body: bytes) -> tuple[str, bytes]:
    """The statement and the data after it."""
    if "query" in url:
        return url["query"], body
    head = body[:20_000].decode("utf-8", errors="replace")
    found = INSERT.match(head)
    if found and not re.match(r"^\s*(SELECT|WITH)\b", head[found.end() :], re.IGNORECASE):
        size = len(head[: found.end()].encode())
        return body[:size].decode(), body[size:]
    return body.decode(), b""


if __name__ == "__main__":
    Handler.engine = Engine(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
