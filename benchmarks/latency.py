"""What a slow store costs: an ingest of 1,500 bundles from an S3 that takes 25 ms longer for every GET, listings included.

The S3 is a small one of our own in a process of its own; the lake is a local folder. Both ways read the same world through the same server,
once with the added latency and once without, in alternating rounds; medians are told.

    python -m benchmarks.latency [--bundles 1500] [--added-ms 25] [--rounds 3]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from benchmarks import worlds

BUCKET = "torus-xapi"
PAGE_KEYS = 1000
TARGET_SECONDS = 6.0


def serve(root: Path, added_ms: float) -> None:
    """GET of objects and ListObjectsV2 (prefix, delimiter, start-after, continuation) over the bundles under `root`; prints its port."""
    objects = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jsonl")}
    keys = sorted(objects)
    when = datetime(2026, 2, 3, 23, tzinfo=UTC)

    def etag(key: str) -> str:
        return f'"{hashlib.md5(objects[key], usedforsecurity=False).hexdigest()}"'

    def listing(query: dict[str, list[str]]) -> str:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        entries: list[tuple[str, bool]] = []
        for key in keys:
            if key.startswith(prefix):
                cut = key.find(delimiter, len(prefix)) if delimiter else -1
                entry = (key[: cut + 1], True) if cut >= 0 else (key, False)
                if entry[0] > after and (not entries or entries[-1] != entry):
                    entries.append(entry)
        page, more = entries[:PAGE_KEYS], len(entries) > PAGE_KEYS
        body = "".join(
            f"<CommonPrefixes><Prefix>{escape(text)}</Prefix></CommonPrefixes>"
            if is_folder
            else f"<Contents><Key>{escape(text)}</Key><LastModified>{when:%Y-%m-%dT%H:%M:%S.000Z}</LastModified><ETag>{escape(etag(text))}</ETag>"
            f"<Size>{len(objects[text])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for text, is_folder in page
        )
        token = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if more else ""
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>{PAGE_KEYS}</MaxKeys>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}{body}</ListBucketResult>"
        )

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 20  # head and body in one packet

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

        def do_GET(self) -> None:
            time.sleep(added_ms / 1000)
            parts = urlsplit(self.path)
            key = unquote(parts.path).removeprefix(f"/{BUCKET}").lstrip("/")
            if not key:
                self.answer(200, listing(parse_qs(parts.query)).encode(), {"Content-Type": "application/xml"})
            elif key in objects:
                self.answer(
                    200, objects[key], {"ETag": etag(key), "Last-Modified": format_datetime(when, usegmt=True), "Accept-Ranges": "bytes"}
                )
            else:
                missing = b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"
                self.answer(404, missing, {"Content-Type": "application/xml"})

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def ingested(folder: Path, workers: int) -> dict:
    """One ingest from the store that the environment names."""
    from torus_assets.clients.object_store import open_store
    from torus_assets.xapi import day
    from torus_assets.xapi.ingest import IngestOptions
    from torus_assets.xapi.lake import Lake

    bundles, lake = open_store(f"s3://{BUCKET}"), Lake(f"file://{folder}/out/lake")
    started = time.monotonic()
    day.find_bundles(bundles, open_store(f"file://{folder}/inventory"), lake, worlds.DAY, worlds.DAY, listing="auto")
    indexed = time.monotonic()
    result = day.ingest(lake, bundles, worlds.DAY, folder / "out/spool", IngestOptions(workers=workers))
    return {
        "index_seconds": indexed - started, "ingest_seconds": time.monotonic() - indexed, "bundles": result.this_run["bundles"], "lines": result.this_run["lines"],
    }  # fmt: skip


def measured(folder: Path, added_ms: float, workers: int) -> dict:
    here = [sys.executable, "-m", "benchmarks.latency", "--folder", str(folder), "--workers", str(workers)]
    environment = worlds.installed(folder, pandas=False) | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        environment.pop(name, None)
    with subprocess.Popen(
        [*here, "--way", "serve", "--added-ms", str(added_ms)], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            assert server.stdout
            port = int(server.stdout.readline())
            environment |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
            ran = subprocess.run([*here, "--way", "ingest"], check=True, stdout=subprocess.PIPE, text=True, env=environment)
        finally:
            server.terminate()
    shutil.rmtree(folder / "out")
    return json.loads(ran.stdout)


def told(runs: list[dict]) -> dict:
    middle = {name: round(statistics.median(run[name] for run in runs), 2) for name in ("index_seconds", "ingest_seconds")}
    return {**middle, "all_seconds": [round(run["index_seconds"] + run["ingest_seconds"], 2) for run in runs]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("bundles", 1500), ("rounds", 3), ("workers", 2), ("sections", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--added-ms", type=float, default=25)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way == "serve":
        return serve(options.folder / "bundles", options.added_ms)
    if options.way == "ingest":
        print(json.dumps(ingested(options.folder, options.workers)))
        return None
    runs: dict[str, list[dict]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory(prefix="torus-latency-") as name:
        folder = Path(name)
        worlds.make(folder / "bundles", options.bundles * 65, sections=options.sections)  # 62.5 lines a bundle on average
        for path in sorted((folder / "bundles").rglob("*.jsonl"))[options.bundles :]:
            path.unlink()
        measured(folder, 0, options.workers)  # writes byte code
        for _ in range(options.rounds):
            runs["without"].append(measured(folder, 0, options.workers))
            runs["with"].append(measured(folder, options.added_ms, options.workers))
    bundles = runs["with"][0]["bundles"]
    ways = {way: told(found) for way, found in runs.items()}
    beyond = {name: round(ways["with"][name] - ways["without"][name], 2) for name in ("index_seconds", "ingest_seconds")}
    passed = bundles == options.bundles and sum(beyond.values()) < TARGET_SECONDS
    print(json.dumps({"benchmark": "latency", "bundles": bundles, "lines": runs["with"][0]["lines"], "added_ms": options.added_ms, "target_seconds": TARGET_SECONDS,
                      "passed": passed, "beyond": beyond, **ways}, indent=2))  # fmt: skip
    return None


if __name__ == "__main__":
    main()
