"""A stand-in for the Hugging Face Hub: repositories of a few commits, served as the Hub serves them."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Repository:
    """A repository.

    Attributes:
        refs: the commit of each branch and tag.
        commits: the files of each commit.
        gated: whether it is open only to those with the token.
    """

    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False


@dataclass
class Hub:
    """The stand-in.

    Attributes:
        url: where it listens.
        fetched: the files handed out, each as `(path, offset of the first byte)`.
        breaks_at: for each file named, cut the connection after that many bytes and refuse the file from then on.
        damaged: the files whose last byte is another one on the way.
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    fetched: list[tuple[str, int]] = field(default_factory=list)
    breaks_at: dict[str, int] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)

    def push(self, name: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit to a branch and return its hash."""
        repository = self.repositories.setdefault(name, Repository())
        commit = sha1(f"{name} {len(repository.commits)}".encode()).hexdigest()
        repository.commits[commit] = files
        repository.refs[branch] = commit
        return commit

    def push_folder(self, name: str, folder: Path, **more: bytes) -> str:
        """Add a commit with the files of a folder."""
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return self.push(name, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths} | more)

    def fetched_files(self) -> list[str]:
        """The names of the files handed out, without repeats."""
        return sorted({path for path, _ in self.fetched})


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Run a stand-in on a free port."""
    hub = Hub()

    class Handler(_Handler):
        repositories = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_API = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/(?P<what>revision|tree)/(?P<revision>.+)")
_FILE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


class _Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class _Handler(BaseHTTPRequestHandler):
    repositories: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _answer(self, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        try:
            if match := _API.fullmatch(path):
                repository, commit = self._find(match["name"], match["revision"])
                self._send_json(self._describe(match["name"], repository, commit, match["what"]))
            elif match := _FILE.fullmatch(path):
                repository, commit = self._find(match["name"], match["revision"])
                self._send_file(repository, commit, match["file"], with_body)
            else:
                raise _Refusal(404, "RepoNotFound")
        except _Refusal as refusal:
            self.send_response(refusal.status)
            self.send_header("X-Error-Code", refusal.code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _find(self, name: str, revision: str) -> tuple[Repository, str]:
        repository = self.repositories.repositories.get(name)
        if repository is None:
            raise _Refusal(401, "RepoNotFound")
        if repository.gated and self.headers.get("Authorization") != "Bearer hf_open":
            raise _Refusal(403, "GatedRepo")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            raise _Refusal(404, "RevisionNotFound")
        return repository, commit

    def _describe(self, name: str, repository: Repository, commit: str, what: str) -> Any:
        files = repository.commits[commit]
        if what == "revision":
            siblings = [{"rfilename": file} for file in files]
            return {"_id": name, "id": name, "sha": commit, "private": False, "tags": [], "siblings": siblings}
        assert parse_qs(urlsplit(self.path).query).get("recursive", ["False"])[0].lower() == "true"
        return [{"type": "file", "path": file, "size": len(body), "oid": _oid(body)} for file, body in files.items()]

    def _send_json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, repository: Repository, commit: str, file: str, with_body: bool) -> None:
        body = repository.commits[commit].get(file)
        if body is None:
            raise _Refusal(404, "EntryNotFound")
        if self.repositories.breaks_at.get(file) == 0:
            raise _Refusal(403, "")
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{_oid(body)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if not with_body:
            return
        self.repositories.fetched.append((file, start))
        limit = self.repositories.breaks_at.get(file)
        if file in self.repositories.damaged:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.wfile.write(body[start:limit])
        if limit is not None:
            self.repositories.breaks_at[file] = 0
            self.close_connection = True


def _oid(body: bytes) -> str:
    return sha1(b"blob %d\0" % len(body) + body).hexdigest()
