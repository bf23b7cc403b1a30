"""The Hugging Face Hub as its client meets it, in one process: data sets in memory, one commit after the other."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """files: repository -> name -> content. tags: of each repository. asked: `METHOD path` of every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, dict[str, bytes]] = {}
        self.tags: dict[str, list[str]] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def _commit(self, repo: str) -> str:
        names = json.dumps(sorted((n, hashlib.sha1(c).hexdigest()) for n, c in self.server.files[repo].items()))
        return hashlib.sha1(names.encode()).hexdigest()

    def _json(self, data: Any, status: int = 200, **headers: str) -> None:
        self._send(json.dumps(data).encode(), status, **{"Content-Type": "application/json"} | headers)

    def _send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        files = self.server.files
        if path in ("/api/repos/create", "/api/validate-yaml"):
            if self.headers.get("Authorization") != "Bearer right":
                self._json({"error": "Invalid credentials"}, 401)
                return
            if path == "/api/repos/create":
                said = json.loads(body)
                files.setdefault(f"{said['organization']}/{said['name']}", {})
                self._json({"url": f"{self.server.address}/datasets/{said['organization']}/{said['name']}"})
                return
            self._json({"errors": [], "warnings": []})
            return
        parts = path.removeprefix("/api").removeprefix("/datasets/").split("/")
        repo = "/".join(parts[:2])
        if repo not in files:
            self._json({"error": "Repository not found"}, 404, **{"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api"):
            self._about(repo, parts[2:], body)
        else:
            content = files[repo].get("/".join(parts[4:]))
            if content is None:
                self._json({"error": "Entry not found"}, 404, **{"X-Error-Code": "EntryNotFound"})
            else:
                about = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": self._commit(repo)}
                self._send(content, **about)

    def _about(self, repo: str, words: list[str], body: bytes) -> None:
        files = self.server.files[repo]
        if not words or words[0] == "revision":
            said = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            self._json({"id": repo, "sha": self._commit(repo), "siblings": said, "tags": [], "downloads": 0})
        elif words[0] == "tree":
            self._json([{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in files.items()])
        elif words[0] == "preupload":
            asked = json.loads(body)["files"]
            self._json({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]})
        elif words[0] == "commit":
            for line in body.splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
                elif said["key"] == "deletedFile":
                    del files[said["value"]["path"]]
            oid = self._commit(repo)
            self._json({"commitUrl": f"{self.server.address}/datasets/{repo}/commit/{oid}", "commitOid": oid})
        elif words[0] == "tag" and self.command == "DELETE":
            there = words[1] in self.server.tags.get(repo, [])
            self._json({}, 200 if there else 404, **({} if there else {"X-Error-Code": "RevisionNotFound"}))
        else:
            self.server.tags.setdefault(repo, []).append(json.loads(body)["tag"])
            self._json({})

    do_GET = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 (the server's names)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def hub_here() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
