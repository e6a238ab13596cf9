"""A hub on 127.0.0.1 that speaks the part of the protocol that ``huggingface_hub`` uses."""

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest


class Hub:
    """Repositories by name: commits with their files, the newest last; and what was asked."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.requests: list[str] = []
        self.private: set[str] = set()

    def commit(self, repo_id: str, files: dict[str, bytes]) -> str:
        """Put files on top of the newest commit; returns the new one."""
        commits = self.commits.setdefault(repo_id, {})
        content = {**(list(commits.values())[-1] if commits else {}), **files}
        text = json.dumps([len(commits), sorted((name, hashlib.sha1(x).hexdigest()) for name, x in content.items())])
        name = hashlib.sha1(text.encode()).hexdigest()
        commits[name] = content
        return name

    def resolve(self, repo_id: str, revision: str) -> str | None:
        """The commit that a branch or commit means."""
        commits = self.commits.get(repo_id, {})
        return list(commits)[-1] if revision == "main" and commits else revision if revision in commits else None


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer as the hub does."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")

    def _answer(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, content: Any, status: int = 200, **headers: str) -> None:
        self._answer(json.dumps(content).encode(), status, Content_Type="application/json", **headers)

    def _missing(self, code: str) -> None:
        self._json({"error": code}, 404, X_Error_Code=code)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            repo_id, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
            commit = self.hub.resolve(repo_id, revision)
            if commit is None:
                self._missing("RevisionNotFound" if repo_id in self.hub.commits else "RepoNotFound")
                return
            files = self.hub.commits[repo_id][commit]
            tree = [{"type": "file", "path": name, "size": len(x), "oid": "0" * 40} for name, x in files.items()]
            siblings = [{"rfilename": name} for name in files]
            self._json(tree if parts[4:5] == ["tree"] else {"id": repo_id, "sha": commit, "siblings": siblings})
            return
        repo_id, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        commit = self.hub.resolve(repo_id, revision)
        if repo_id not in self.hub.commits:
            self._missing("RepoNotFound")
        elif repo_id in self.hub.private:
            self._json({}, 401, X_Error_Message="Invalid credentials in Authorization header")
        elif commit is None:
            self._missing("RevisionNotFound")
        elif (body := self.hub.commits[repo_id][commit].get(name)) is None:
            self._json({}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        else:
            self._answer(body, ETag=f'"{hashlib.sha256(body).hexdigest()}"', X_Repo_Commit=commit)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[-1] == "validate-yaml":
            self._json({"warnings": [], "errors": []})
        elif parts[-2:] == ["repos", "create"]:
            request = json.loads(body)
            repo_id = f"{request['organization']}/{request['name']}"
            is_there = repo_id in self.hub.commits
            if not is_there:
                self.hub.commit(repo_id, {".gitattributes": b"*.safetensors filter=lfs"})
            self._json({"url": f"http://{self.headers['Host']}/{repo_id}"}, 409 if is_there else 200)
        elif parts[4] == "preupload":
            files = json.loads(body)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self._json({"files": modes})
        else:
            lines = [json.loads(line) for line in body.splitlines()]
            files = {x["value"]["path"]: base64.b64decode(x["value"]["content"]) for x in lines if x["key"] == "file"}
            repo_id = "/".join(parts[2:4])
            commit = self.hub.commit(repo_id, files)
            self._json({"commitUrl": f"http://{self.headers['Host']}/{repo_id}/commit/{commit}", "commitOid": commit})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub, which is the one that ``huggingface_hub`` knows, with an empty cache."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    hub = Hub()
    handler = type("Bound", (Handler,), {"hub": hub})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        connect(monkeypatch, f"http://127.0.0.1:{server.server_port}", tmp_path)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()


def connect(monkeypatch: pytest.MonkeyPatch, address: str, folder: Path) -> None:
    """Let ``huggingface_hub``, which reads its environment at import, use an address and a cache."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs scmoe[hub]")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_test")
