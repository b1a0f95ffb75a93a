"""A real MLflow server on this host, and a door before it that asks for a name and a password."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECONDS_TO_START = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Run `mlflow server` with its database, artifacts and log in a folder; yield host and port."""
    port = free_port()
    options = {
        "--workers": "1", "--host": "127.0.0.1", "--port": str(port),
        "--backend-store-uri": f"sqlite:///{folder}/mlflow.db", "--artifacts-destination": f"{folder}/artifacts",
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
