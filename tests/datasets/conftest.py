import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pytest

from scmoe.io._quiet import quiet_mudata


@pytest.fixture
def mdata() -> mudata.MuData:
    with quiet_mudata():
        return mudata.MuData({m: ad.AnnData(np.ones((3, 2), np.float32)) for m in ("rna", "adt")})


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], tuple[str, list[str]]]]:
    """Serve a folder: the address, and the paths that are asked for."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:

        def start(folder: Path) -> tuple[str, list[str]]:
            asked: list[str] = []

            class Handler(http.server.SimpleHTTPRequestHandler):
                def log_message(self, *args: object) -> None:
                    asked.append(self.path)

            httpd = stack.enter_context(
                http.server.HTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
            )
            thread = threading.Thread(target=httpd.serve_forever, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(httpd.shutdown)
            return f"http://127.0.0.1:{httpd.server_port}", asked

        yield start
