"""A Hub on 127.0.0.1: as much of the protocol as ``huggingface_hub`` asks for, and ways to misbehave.

It has two servers, as the real one has: the Hub itself, which lists files and sends small ones, and another address for the
large ones, to which it redirects. Every request is written down, so that a test can say what was transferred.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin")
PART = 1 << 14


@dataclass
class Request:
    """One request and what was answered.

    Attributes
    ----------
    method, path : str
    file : str
        The file asked for; empty if it was not one.
    ranged, token : str
        The headers ``Range`` and ``Authorization``.
    cdn : bool
        Whether it came to the other address.
    status, sent : int
        The answer, and how many bytes of a body went with it.

    """

    method: str
    path: str
    file: str = ""
    ranged: str = ""
    token: str = ""
    cdn: bool = False
    status: int = 0
    sent: int = 0


@dataclass
class Hub:
    """The servers, what they hold and how they misbehave.

    Attributes
    ----------
    repositories : dict
        ``owner/name`` to commits to file names to contents.
    branches : dict
        ``owner/name`` to branch to commit.
    token : str
        Without it every repository answers 401.
    gated : bool
        Whether everybody may see a repository's list of files, and its files only with the token, as where terms have to be
        accepted first.
    fail : dict
        What to answer instead, by the name of a file or, for the list of files, ``"api"``.
    retry_after : str
        The header that goes with 429.
    cut : dict
        After how many bytes of a file the connection is closed, and how many more times.
    swapped : dict
        Other contents for a file than those that are listed.
    slow : float
        Seconds before each part of a large file.
    requests : list of Request

    """

    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    token: str = ""
    gated: bool = False
    fail: dict[str, int] = field(default_factory=dict)
    retry_after: str = ""
    cut: dict[str, tuple[int, int]] = field(default_factory=dict)
    swapped: dict[str, bytes] = field(default_factory=dict)
    slow: float = 0.0
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, cdn=cdn)) for cdn in (False, True)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def address(self) -> str:
        """Where the Hub listens."""
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def other_address(self) -> str:
        """Where large files come from."""
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def add(self, repository: str, folder: Path | dict[str, bytes], *, commit: str = "", branch: str = "main") -> str:
        """Publish the files of a folder, and return the commit."""
        files = (
            folder
            if isinstance(folder, dict)
            else {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        )
        digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + files[name] for name in sorted(files)))
        commit = commit or digest.hexdigest()[:40]
        self.repositories.setdefault(repository, {})[commit] = dict(files)
        self.branches.setdefault(repository, {})[branch] = commit
        return commit

    def transferred(self) -> list[str]:
        """Return the names of the files whose content was sent, in part or whole, in order."""
        return [one.file for one in self.requests if one.method == "GET" and one.file and one.sent]


def blob(content: bytes) -> str:
    """Return git's digest of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith(LARGE)


def listed(name: str, content: bytes) -> dict[str, Any]:
    """Return what the Hub's list of files says about one."""
    entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob(content)}
    if is_large(name):
        entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
    return entry


def _handler(hub: Hub, *, cdn: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        request_: Request

        def log_message(self, format: str, *values: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            self.request_ = Request(
                self.command,
                path,
                ranged=self.headers.get("Range", ""),
                token=self.headers.get("Authorization", ""),
                cdn=cdn,
            )
            hub.requests.append(self.request_)
            try:
                if cdn:
                    # /repository/commit/file
                    owner, name, commit, file = path.strip("/").split("/", 3)
                    self._file(f"{owner}/{name}", commit, file)
                elif path.startswith("/api/models/"):
                    self._list(path.removeprefix("/api/models/"))
                elif "/resolve/" in path:
                    repository, _, rest = path.strip("/").partition("/resolve/")
                    commit, _, file = rest.partition("/")
                    self._file(repository, commit, file)
                else:
                    self._refuse(404, "")
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _commit(self, repository: str, revision: str, kind: str) -> str | None:
            """Return the commit of a revision, or answer with what stands in the way."""
            if hub.token and self.request_.token != f"Bearer {hub.token}" and not (hub.gated and kind == "api"):
                self._refuse(401, "GatedRepo" if hub.gated else "RepoNotFound")
            elif kind in hub.fail:
                code = {401: "RepoNotFound", 403: "GatedRepo", 404: "RepoNotFound"}.get(hub.fail[kind], "")
                self._refuse(hub.fail[kind], code)
            elif repository not in hub.repositories:
                self._refuse(404, "RepoNotFound")
            else:
                commit = hub.branches[repository].get(revision, revision)
                if commit in hub.repositories[repository]:
                    return commit
                self._refuse(404, "RevisionNotFound")
            return None

        def _list(self, rest: str) -> None:
            repository, _, revision = rest.partition("/revision/")
            commit = self._commit(repository, revision or "main", "api")
            if commit is None:
                return
            files = hub.repositories[repository][commit]
            body = {
                "id": repository,
                "modelId": repository,
                "sha": commit,
                "private": False,
                "tags": [],
                "siblings": [listed(name, files[name]) for name in sorted(files)],
            }
            self._send(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

        def _file(self, repository: str, revision: str, name: str) -> None:
            self.request_.file = name
            commit = revision if cdn else self._commit(repository, revision, name)
            if commit is None:
                return
            files = hub.repositories[repository][commit]
            if name not in files:
                self._refuse(404, "EntryNotFound")
                return
            real = files[name]
            large = is_large(name)
            headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            if large and not cdn:
                headers |= {
                    "Location": f"{hub.other_address}/{repository}/{commit}/{name}",
                    "X-Linked-Size": str(len(real)),
                    "X-Linked-Etag": f'"{sha256(real)}"',
                }
                self._send(302, headers, b"")
                return
            headers["ETag"] = f'"{sha256(real) if large else blob(real)}"'
            content = hub.swapped.get(name, real) if self.command == "GET" else real
            status = 200
            if self.request_.ranged:
                start = int(self.request_.ranged.removeprefix("bytes=").partition("-")[0])
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                content, status = content[start:], 206
            self._send(status, headers, content, cut=self._cut(name), slow=hub.slow if large else 0.0)

        def _cut(self, name: str) -> int | None:
            if self.command != "GET" or name not in hub.cut:
                return None
            after, times = hub.cut[name]
            if times < 1:
                return None
            hub.cut[name] = (after, times - 1)
            return after

        def _refuse(self, status: int, code: str) -> None:
            headers = {"X-Error-Code": code} if code else {}
            if status == 429 and hub.retry_after:
                headers["Retry-After"] = hub.retry_after
            self._send(status, headers, b"")

        def _send(
            self, status: int, headers: dict[str, str], body: bytes, *, cut: int | None = None, slow: float = 0.0
        ) -> None:
            self.request_.status = status
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            whole = body if cut is None else body[:cut]
            for start in range(0, len(whole), PART):
                if slow:
                    time.sleep(slow)
                part = whole[start : start + PART]
                self.wfile.write(part)
                self.request_.sent += len(part)
            if cut is not None:
                self.wfile.flush()
                self.close_connection = True

    return Handler
