"""A stand-in for the Hub on 127.0.0.1: the part of its protocol that ``huggingface_hub`` uses, and ways to misbehave.

Like the real one it has two servers: the Hub itself, which lists files and sends small ones, and a second address for
large files, to which it redirects. Every request is recorded, so that a test can check what was transferred.
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
PART = 1 << 14  # bytes sent at a time


@dataclass
class Request:
    """A request and its answer.

    Attributes
    ----------
    method, path : str
    file : str
        The file that was requested; empty if none was.
    ranged, token : str
        The headers ``Range`` and ``Authorization``.
    cdn : bool
        Whether it reached the second address.
    status, sent : int
        The status of the answer, and how many bytes of its body were sent.

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
    """The two servers, the files on them, and how they misbehave.

    Attributes
    ----------
    repositories : dict
        ``owner/name`` to commits to file names to contents.
    branches : dict
        ``owner/name`` to branch to commit.
    token : str
        If given, requests without it are answered with 401.
    gated : bool
        Whether the token is needed for files only and not for the list of files, as in repositories whose terms have to
        be accepted first.
    fail : dict
        File name to the status to answer with; ``"api"`` stands for the list of files.
    retry_after : str
        The header of the same name in answers with status 429.
    cut : dict
        File name to the number of bytes after which the connection is closed, and how many more times this happens.
    swapped : dict
        File name to the content that is sent in place of the listed one.
    slow : float
        Seconds to wait before each part of a large file.
    requests : list of Request
        All requests, in order.

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
        self._servers = [_Server(self, handler) for handler in (_HubHandler, _CdnHandler)]
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
        """The address of the Hub."""
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def other_address(self) -> str:
        """The address of large files."""
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def add(self, repository: str, folder: Path | dict[str, bytes], *, commit: str = "", branch: str = "main") -> str:
        """Publish the files of a folder as a commit of a branch, and return the commit."""
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
        """Return the names of the files whose content was sent, wholly or in part, in order."""
        return [request.file for request in self.requests if request.method == "GET" and request.file and request.sent]


def blob(content: bytes) -> str:
    """Return the digest of a file as a git blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith(LARGE)


def listed(name: str, content: bytes) -> dict[str, Any]:
    """Return a file's entry in the Hub's list of files."""
    entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob(content)}
    if is_large(name):
        entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
    return entry


class _Server(ThreadingHTTPServer):
    def __init__(self, hub: Hub, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    """What both servers do: record a request, send a file and misbehave."""

    protocol_version = "HTTP/1.1"
    server: _Server
    is_cdn: bool
    request_: Request

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def log_message(self, format: str, *values: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.request_ = Request(
            self.command,
            path,
            ranged=self.headers.get("Range", ""),
            token=self.headers.get("Authorization", ""),
            cdn=self.is_cdn,
        )
        self.hub.requests.append(self.request_)
        try:
            self.answer(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, path: str) -> None:
        raise NotImplementedError

    def send_file(self, name: str, listed_content: bytes, commit: str) -> None:
        """Send a file, or the range of it that is asked for."""
        digest = sha256(listed_content) if is_large(name) else blob(listed_content)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes", "ETag": f'"{digest}"'}
        content = self.hub.swapped.get(name, listed_content) if self.command == "GET" else listed_content
        status = 200
        if self.request_.ranged:
            start = int(self.request_.ranged.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        self.send(status, headers, content, cut=self._cut(name), slow=self.hub.slow if is_large(name) else 0.0)

    def _cut(self, name: str) -> int | None:
        """Return after how many bytes to close the connection, None if the file is sent to its end."""
        if self.command != "GET" or name not in self.hub.cut:
            return None
        after, times = self.hub.cut[name]
        if times < 1:
            return None
        self.hub.cut[name] = (after, times - 1)
        return after

    def refuse(self, status: int, code: str) -> None:
        headers = {"X-Error-Code": code} if code else {}
        if status == 429 and self.hub.retry_after:
            headers["Retry-After"] = self.hub.retry_after
        self.send(status, headers, b"")

    def send(
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
        sent_body = body if cut is None else body[:cut]
        for start in range(0, len(sent_body), PART):
            if slow:
                time.sleep(slow)
            part = sent_body[start : start + PART]
            self.wfile.write(part)
            self.request_.sent += len(part)
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


class _HubHandler(_Handler):
    """The Hub: lists files, sends small ones and redirects to large ones."""

    is_cdn = False

    def answer(self, path: str) -> None:
        if path.startswith("/api/models/"):
            self._list(path.removeprefix("/api/models/"))
        elif "/resolve/" in path:
            repository, _, rest = path.strip("/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            self._file(repository, revision, name)
        else:
            self.refuse(404, "")

    def _list(self, path: str) -> None:
        repository, _, revision = path.partition("/revision/")
        commit = self._commit(repository, revision or "main", "api")
        if commit is None:
            return
        files = self.hub.repositories[repository][commit]
        listing = {
            "id": repository,
            "modelId": repository,
            "sha": commit,
            "private": False,
            "tags": [],
            "siblings": [listed(name, files[name]) for name in sorted(files)],
        }
        self.send(200, {"Content-Type": "application/json"}, json.dumps(listing).encode())

    def _file(self, repository: str, revision: str, name: str) -> None:
        self.request_.file = name
        commit = self._commit(repository, revision, name)
        if commit is None:
            return
        files = self.hub.repositories[repository][commit]
        if name not in files:
            self.refuse(404, "EntryNotFound")
        elif is_large(name):
            headers = {
                "X-Repo-Commit": commit,
                "Accept-Ranges": "bytes",
                "Location": f"{self.hub.other_address}/{repository}/{commit}/{name}",
                "X-Linked-Size": str(len(files[name])),
                "X-Linked-Etag": f'"{sha256(files[name])}"',
            }
            self.send(302, headers, b"")
        else:
            self.send_file(name, files[name], commit)

    def _commit(self, repository: str, revision: str, asked: str) -> str | None:
        """Return the commit of a revision; answer with an error and return None if there is none, or access is refused.

        ``asked`` is the name of a file, or ``"api"`` for the list of files.
        """
        hub = self.hub
        if hub.token and self.request_.token != f"Bearer {hub.token}" and not (hub.gated and asked == "api"):
            self.refuse(401, "GatedRepo" if hub.gated else "RepoNotFound")
        elif asked in hub.fail:
            code = {401: "RepoNotFound", 403: "GatedRepo", 404: "RepoNotFound"}.get(hub.fail[asked], "")
            self.refuse(hub.fail[asked], code)
        elif repository not in hub.repositories:
            self.refuse(404, "RepoNotFound")
        else:
            commit = hub.branches[repository].get(revision, revision)
            if commit in hub.repositories[repository]:
                return commit
            self.refuse(404, "RevisionNotFound")
        return None


class _CdnHandler(_Handler):
    """The second address, for large files: ``/owner/repository/commit/file``."""

    is_cdn = True

    def answer(self, path: str) -> None:
        owner, repository, commit, name = path.strip("/").split("/", 3)
        self.request_.file = name
        files = self.hub.repositories[f"{owner}/{repository}"][commit]
        if name in files:
            self.send_file(name, files[name], commit)
        else:
            self.refuse(404, "EntryNotFound")
