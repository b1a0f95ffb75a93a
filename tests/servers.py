"""A real MLflow server on this host; a door that asks for a password, a proxy that loses replies or goes away."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SECONDS_TO_START = 120.0
#: What becomes of a request: it passes, its reply is lost after it was carried out, or it is answered 503.
PASS, LOSE, REFUSE = "pass", "lose", "refuse"
Rule = Callable[[str, bytes], str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, database: str = "", workers: int = 1) -> Iterator[str]:
    """Run `mlflow server` with its database (or another), artifacts and log in a folder; yield host and port."""
    port = free_port()
    options = {
        "--workers": str(workers), "--host": "127.0.0.1", "--port": str(port),
        "--backend-store-uri": database or f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination": f"{folder}/artifacts",
    }  # fmt: skip
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *(word for option in options.items() for word in option)],
            env={**os.environ, **quiet}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            while not answers(port):
                assert process.poll() is None, (folder / "server.log").read_text(encoding="utf-8")
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def door(server: str, user: str, password: str) -> Iterator[str]:
    """Pass on to a server what comes with this name and password; yield host and port."""
    expected = "Basic " + b64encode(f"{user}:{password}".encode()).decode()

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != expected:
                self.reply(401, "text/plain", b"Who are you?")
                return
            connection = http.client.HTTPConnection(server)
            headers = {key: value for key, value in self.headers.items() if key != "Authorization"}
            connection.request(self.command, self.path, body, {**headers, "Host": server})
            answer = connection.getresponse()
            self.reply(answer.status, answer.headers.get("Content-Type", ""), answer.read())
            connection.close()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


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
    with mlflow_server(tmp_path_factory.mktemp("server")) as host:
        yield int(host.rpartition(":")[2])


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
