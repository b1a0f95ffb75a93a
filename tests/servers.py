"""A real MLflow server, and a proxy before it that loses replies, answers 503, or goes away."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

#: What becomes of a request: it passes, its reply is lost after it was carried out, or it is answered 503.
PASS, LOSE, REFUSE = "pass", "lose", "refuse"
Rule = Callable[[str, bytes], str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path) -> Iterator[int]:
    """Serve a new store and its artifacts; yields the port."""
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **quiet}, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(30)


class Proxy:
    """Stands before a server.

    Attributes:
        rule: says of each request, by path and body, what becomes of it.
        clock: seconds by which the time that it gives differs from the server's.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.rule: Rule = lambda path, body: PASS
        self.clock = 0.0
        self.server: ThreadingHTTPServer | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Answer."""
        if self.server is None:
            self.server = _Server(("127.0.0.1", self.port), _handler(self))
            threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Go away: connections are refused, and those that are open end without a reply."""
        if self.server is not None:
            server, self.server = self.server, None
            server.shutdown()
            server.server_close()

    def lose_every_first(self, *ends: str) -> None:
        """Lose the reply to each request whose path ends so, but not to the same when it is asked again."""
        lost: set[tuple[str, bytes]] = set()

        def rule(path: str, body: bytes) -> str:
            if not path.endswith(ends) or (path, body) in lost:
                return PASS
            lost.add((path, body))
            return LOSE

        self.rule = rule

    def refuse_from(self, end: str, count: int, times: float = float("inf")) -> None:
        """Answer 503 to so many requests from the one on with this end that is the `count`-th of its kind."""
        left, refused = [count], [0]

        def rule(path: str, body: bytes) -> str:
            left[0] -= path.endswith(end)
            if left[0] > 0 or refused[0] >= times:
                return PASS
            refused[0] += 1
            return REFUSE

        self.rule = rule


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            path = self.path.partition("?")[0]
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            verdict = proxy.rule(path, body)
            if verdict == REFUSE or proxy.server is not self.server:
                self.send_error(503)
                return
            upstream = http.client.HTTPConnection("127.0.0.1", proxy.target, timeout=60)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            if verdict == LOSE:
                return  # HTTP/1.0: the connection ends with the method
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "date"):
                    self.send_header(name, value)
            self.send_header("Date", self.date_time_string(time.time() + proxy.clock))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"):
        setattr(Handler, f"do_{method}", Handler.forward)
    return Handler


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an MLflow server of this session's own."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as port:
        yield port


@pytest.fixture
def proxy(served: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server; the client asks again once, at once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    found = Proxy(served)
    found.up()
    yield found
    found.down()
