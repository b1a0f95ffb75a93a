"""Where runs are shown, and what they keep as files: read from the disk where it lies there, else through MLflow."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

#: Where `make ui` serves the store.
LOCAL_UI = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class RunLinks:
    """Where the MLflow UI shows runs.

    Attributes:
        base: address of a run without its id.
        served: whether a server is known to answer there; else it is where `make ui` would.
    """

    base: str = f"{LOCAL_UI}/#/experiments/0/runs/"
    served: bool = False

    def to(self, run_id: str) -> str:
        """Return the address of a run."""
        return self.base + run_id


def links(uri: str, experiment_id: str) -> RunLinks:
    """Return where a store's runs are shown; credentials are left out.

    >>> links("https://me:secret@mlflow.example.org/x/", "3").to("abc")
    'https://mlflow.example.org/x/#/experiments/3/runs/abc'
    """
    parts = urlsplit(uri)
    served = parts.scheme in ("http", "https")
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}" if served else LOCAL_UI
    return RunLinks(f"{host}/#/experiments/{experiment_id}/runs/", served)


def local_folder(uri: str) -> Path | None:
    """Return the folder that a URI of artifacts names on this machine, or None."""
    parsed = urlsplit(uri)
    if parsed.scheme == "file" and parsed.netloc in ("", "localhost"):
        return Path(unquote(parsed.path))
    return Path(uri) if uri.startswith("/") else None


def folder_of(uri: str, database: Path | None) -> Path | None:
    """Return the folder on this machine that holds a run's artifacts; None where MLflow has to fetch them.

    A SQLite store records `…/artifacts/EXPERIMENT/RUN/artifacts` as it was when the run began. Moved or copied since,
    it has them beside it all the same; only a folder that was chosen elsewhere, beside no database, stays where it is.
    """
    recorded = local_folder(uri)
    found = re.fullmatch("(.*)/artifacts/(.+/[^/]+/artifacts)", str(recorded))
    if recorded is None or database is None or found is None:
        return recorded
    near = database.parent / "artifacts" / found[2]
    try:
        root = Path(found[1])
        owners = [path for path in (root / database.name, *root.glob("*.db")) if path.exists()]
        ours = any(path.samefile(database) for path in owners)
        chosen = not owners and recorded.parents[1].is_dir() and not near.parents[1].is_dir()
    except OSError:  # a place that we may not enter
        return near
    return recorded if ours or chosen else near


def read(client: "MlflowClient", run_id: str, uri: str, name: str, database: Path | None = None) -> bytes | None:
    """Return the bytes of an artifact, or None where the run has none of that name; see `folder_of`."""
    folder = folder_of(uri, database)
    if folder is not None:
        try:
            return (folder / name).read_bytes()
        except OSError:
            return None
    with tempfile.TemporaryDirectory() as place:
        try:
            return Path(client.download_artifacts(run_id, name, place)).read_bytes()
        except Exception:  # each kind of artifact store has an exception of its own for "not there"
            return None
