"""Downloads: once, atomically, verified, and readable errors without a network (all on 127.0.0.1)."""

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pooch
import pytest

from scmoe.datasets import _download, pbmc10k_cite, pbmc10k_multiome
from scmoe.datasets._download import fetch
from scmoe.io._files import WriteError


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve one body at every path but `/missing.h5`, and count the requests."""

    body, declared, requests = b"", None, 0

    def do_GET(self) -> None:
        type(self).requests += 1
        self.send_response(404 if self.path == "/missing.h5" else 200)
        self.send_header("Content-Length", str(self.declared or len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCMOE_DATA_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, type[Handler]]]:
    ad.AnnData(np.ones((2, 3), np.float32)).write_h5ad(tmp_path / "served.h5ad")
    handler = type("Counted", (Handler,), {"body": (tmp_path / "served.h5ad").read_bytes()})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", handler
        httpd.shutdown()
        thread.join()


@pytest.fixture
def offline() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/data.h5ad"


def test_file_is_downloaded_once(server, cache: Path) -> None:
    url, handler = server
    for _ in range(2):
        assert fetch(f"{url}/data.h5ad").read_bytes() == handler.body
    assert handler.requests == 1
    assert sorted(entry.name for entry in cache.iterdir()) == ["data.h5ad", "data.h5ad.sha256"]


def test_default_cache_is_that_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server) -> None:
    monkeypatch.delenv("SCMOE_DATA_DIR", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "system" / project)
    assert fetch(f"{server[0]}/data.h5ad").parent == tmp_path / "system" / "scmoe"


def test_changed_file_is_refused_with_a_remedy(server, cache: Path) -> None:
    target = fetch(f"{server[0]}/data.h5ad")
    target.write_bytes(b"changed")
    with pytest.raises(ValueError, match=f"data.h5ad has the SHA-256 .* Delete {target} to download it again"):
        fetch(f"{server[0]}/data.h5ad")


def test_changed_server_is_refused(server, cache: Path) -> None:
    url, handler = server
    fetch(f"{url}/data.h5ad").unlink()
    handler.body += b"more"
    with pytest.raises(ValueError, match="has changed; delete .*data.h5ad.sha256"):
        fetch(f"{url}/data.h5ad")
    assert [entry.name for entry in cache.iterdir()] == ["data.h5ad.sha256"]


def test_known_checksum_is_enforced(server, cache: Path) -> None:
    with pytest.raises(ValueError, match="expected 0000"):
        fetch(f"{server[0]}/data.h5ad", sha256="0000")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "body", "extra", "match"),
    [
        ("missing.h5", b"x", 0, "Cannot download .*missing.h5: HTTPError"),
        (
            "data.h5ad",
            b"<html>Please log in</html>",
            0,
            "answered with another file: it begins with b'<html>Pl', not b.*HDF",
        ),
        ("data.h5ad", b"\x89HDF\r\n\x1a\n", 1000, "Cannot download"),
    ],
)
def test_bad_answers_leave_nothing(server, cache: Path, path: str, body: bytes, extra: int, match: str) -> None:
    url, handler = server
    handler.body, handler.declared = body, len(body) + extra
    with pytest.raises(ConnectionError, match=match):
        fetch(f"{url}/{path}")
    assert list(cache.iterdir()) == []


def test_offline_names_url_and_cache(offline: str, cache: Path) -> None:
    with pytest.raises(ConnectionError, match=f"{offline}: ConnectionError.*path= or put it at {cache / 'data.h5ad'}"):
        fetch(offline)


def test_cache_that_cannot_be_written_is_named(offline: str, cache: Path) -> None:
    cache.write_text("a file in its place")
    with pytest.raises(WriteError, match="cache: a file is in the way"):
        fetch(offline)


@pytest.mark.parametrize(
    ("dataset", "constant"), [(pbmc10k_cite, "PBMC10K_CITE"), (pbmc10k_multiome, "PBMC10K_MULTIOME")]
)
def test_datasets_come_from_their_url_or_a_local_file(
    dataset, constant: str, server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = server
    assert getattr(_download, constant).startswith("https://cf.10xgenomics.com/")
    monkeypatch.setattr(_download, constant, f"{url}/data.h5ad")
    assert dataset(tmp_path / "served.h5ad").shape == (2, 3)
    assert handler.requests == 0
    assert dataset().shape == (2, 3)
    assert handler.requests == 1
