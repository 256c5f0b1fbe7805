"""A hub on 127.0.0.1: the part of the Hugging Face hub's protocol that its client uses to look up and download models.

Weights are kept by Git LFS and answered with a redirect to another host (`localhost`), as on the true hub; small files come
directly.
It offers no xet. It counts what it is asked, and can be told to break off, to stall, to lie and to ignore ranges.
"""

import contextlib
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Hub:
    """What the hub holds, and how it misbehaves; both can be changed while it runs."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commit: str = COMMIT
    asked: list[Asked] = field(default_factory=list)
    #: By file name: break the connection after so many bytes, once for each number.
    cuts: dict[str, list[int]] = field(default_factory=dict)
    #: By file name: send so many bytes, then nothing more until `go_on`.
    stalls: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    #: By file name: what is sent instead of the file.
    lies: dict[str, bytes] = field(default_factory=dict)
    #: By file name: what is said of it instead of the truth.
    announces: dict[str, dict[str, object]] = field(default_factory=dict)
    #: Instead of what it holds.
    answer: bytes | None = None
    #: What it answers everything with, as a server that is broken.
    broken: int | None = None
    #: By file name, or "api" for the answer on a repository: so many bytes at a time, with so many seconds in between.
    drips: dict[str, tuple[int, float]] = field(default_factory=dict)
    #: What it calls a repository, if not by the name that was asked for.
    claims: str | None = None
    #: As the log-in page of a network: a page instead of an answer or a file, at once or by way of a portal.
    portal: str | None = None
    #: By file name: where its download is sent on to.
    sends_on: dict[str, str] = field(default_factory=dict)
    ignores_ranges: bool = False
    #: States to answer with, one for each download, before it behaves.
    refusals: list[int] = field(default_factory=list)

    def __enter__(self):
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def elsewhere(self):
        """The host that stores the weights."""
        return f"http://localhost:{self._server.server_port}"

    @property
    def address(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def downloads(self, name):
        """The requests for a file's content."""
        return [each for each in self.asked if each.method == "GET" and each.path.endswith(f"/{name}")]


def is_lfs(name):
    return name.endswith((".safetensors", ".bin"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # a client that was killed
            super().handle()

    def do_HEAD(self):
        self.do_GET()

    def do_CONNECT(self):
        self._say(502, b"", {})

    def do_GET(self):
        path = urlsplit(self.path).path
        self.hub.asked.append(Asked(self.command, path, self.headers.get("Range"), self.headers.get("Authorization")))
        if self.hub.broken is not None:
            self._say(self.hub.broken, b"", {})
        elif path == "/portal" or (self.hub.portal == "page" or (self.hub.portal == "file" and "/resolve/" in path)):
            self._say(200, b"<!DOCTYPE html><title>Welcome on board</title>", {"Content-Type": "text/html; charset=utf-8"})
        elif self.hub.portal == "redirect":
            self._say(302, b"", {"Location": f"{self.hub.elsewhere}/portal"})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._info(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3])
        elif match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/[0-9a-f]{64}/(.+)", path):
            self._send(match[2], self.hub.repos[match[1]][match[2]], {})
        else:
            self._fail(404, "EntryNotFound")

    def _info(self, repo, revision):
        files = self.hub.repos.get(repo)
        if self.hub.answer is not None:
            self._say(200, self.hub.answer, {"Content-Type": "application/json"})
        elif files is None:
            self._fail(401, "RepoNotFound")
        elif revision not in ("main", self.hub.commit):
            self._fail(404, "RevisionNotFound")
        else:
            siblings = [_sibling(name, data) | self.hub.announces.get(name, {}) for name, data in files.items()]
            named = self.hub.claims or repo
            about = {"id": named, "modelId": named, "sha": self.hub.commit, "siblings": siblings, "tags": [], "private": False}
            self._say(200, json.dumps(about).encode(), {"Content-Type": "application/json"}, "api")

    def _resolve(self, repo, revision, name):
        data = self.hub.repos.get(repo, {}).get(name)
        if data is None or revision not in ("main", self.hub.commit):
            self._fail(404, "EntryNotFound")
            return
        if name in self.hub.sends_on:
            self._say(302, b"", {"Location": self.hub.sends_on[name]})
            return
        oid = _oid(name, data)
        about = {"X-Repo-Commit": self.hub.commit, "ETag": f'"{oid}"'}
        if is_lfs(name):
            about |= {
                "X-Linked-ETag": f'"{oid}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"{self.hub.elsewhere}/cdn/{repo}/{oid}/{name}",
            }
            self._say(302, b"", about)
        else:
            self._send(name, data, about)

    def _send(self, name, data, headers):
        if self.command == "GET" and self.hub.refusals:
            self._say(self.hub.refusals.pop(0), b"not now", {})
            return
        data = self.hub.lies.get(name, data)
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and not self.hub.ignores_ranges:
            start, status = int(asked[1]), 206
            headers = headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            if start >= len(data):
                self._say(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
        self._say(status, data[start:], headers, name)

    def _say(self, status, body, headers, name=""):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cuts.get(name):
            body = body[: self.hub.cuts[name].pop(0)]
            self.close_connection = True
        if name in self.hub.stalls:
            self.wfile.write(body[: self.hub.stalls[name]])
            self.hub.stalled.set()
            self.hub.go_on.wait(30)
            self.close_connection = True
            return
        if name in self.hub.drips:
            count, seconds = self.hub.drips[name]
            for start in range(0, len(body), count):
                self.wfile.write(body[start : start + count])
                if self.hub.go_on.wait(seconds):
                    self.close_connection = True
                    return
            return
        self.wfile.write(body)

    def _fail(self, status, code):
        self._say(status, json.dumps({"error": code}).encode(), {"X-Error-Code": code, "X-Error-Message": code})


def _sibling(name, data):
    about = {"rfilename": name, "size": len(data), "blobId": _git(data)}
    if is_lfs(name):
        about["lfs"] = {"sha256": _oid(name, data), "size": len(data), "pointerSize": 134}
    return about


def _oid(name, data):
    return hashlib.sha256(data).hexdigest() if is_lfs(name) else _git(data)


def _git(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
