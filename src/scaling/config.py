"""From Hydra's configs to our objects: where configs lie, how they are composed, what their errors say."""

import copy
import functools
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.core.errors import ScalingError, SettingError
from scaling.core.reading import is_text
from scaling.core.secrets import cleanse, lift, mask
from scaling.core.streams import guard
from scaling.overrides import flags_last, spelled, unreadable
from scaling.settings import TYPES, check_complete, read_all, types_of

VERSION_BASE = "1.3"
TRACEBACK = "SCALING_TRACEBACK"
#: Folders of Hydra whose ValueErrors speak of the user's config.
HYDRA_FOLDERS = ("_internal", "core", "override_parser")
#: Settings of a data set that are not its own: what resolution and which augmentation suit it.
ADVICE = ("input_size", "augment")


def config_path() -> str:
    """Return the checkout's conf/ where the package runs from one, else the copy inside the wheel."""
    checkout = Path(__file__).resolve().parents[2] / "conf"
    return str(checkout) if (checkout / "config.yaml").is_file() else "pkg://scaling.conf"


def is_choice(group: str, name: str) -> bool:
    """Say whether `GROUP=NAME` names a config of this package."""
    root = config_path()
    folder = Path(__file__).parent / "conf" if root.startswith("pkg://") else Path(root)
    return (folder / group / f"{name}.yaml").is_file()


def compose(overrides: Sequence[str] = (), config_name: str = "config") -> DictConfig:
    """Compose a config outside of a Hydra application, as the Python API does.

    Raises:
        SettingError: an override names something that doesn't exist.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    where = config_path()
    start = hydra.initialize_config_module if where.startswith("pkg://") else hydra.initialize_config_dir
    outer = GlobalHydra.instance().hydra  # of an application that calls us
    GlobalHydra.instance().clear()
    try:
        with start(where.removeprefix("pkg://"), version_base=VERSION_BASE):
            return hydra.compose(config_name, overrides=[spelled(text) for text in overrides])
    except Exception as error:
        if not from_hydra(error):
            raise
        cleanse(error)
        raise SettingError(mask(explain(error, overrides, config_name))) from error
    finally:
        GlobalHydra.instance().hydra = outer


def from_hydra(error: Exception) -> bool:
    """Say whether an error is Hydra's or OmegaConf's word on a config; some of them are plain ValueErrors."""
    if isinstance(error, HydraException | OmegaConfBaseException):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, ValueError) and bool(frames) and Path(frames[-1].filename).parent.name in HYDRA_FOLDERS


def plain(config: DictConfig, overrides: Sequence[str] = (), types: Mapping[str, Any] = TYPES) -> dict[str, Any]:
    """Resolve a config to plain containers, without Hydra's own part, each setting as its type has it.

    Args:
        overrides: those that it was composed with; they tell how text was typed that looks like a number.
        types: of the settings that belong to no class, by dotted name.

    Raises:
        SettingError: a setting is of another type.
    """
    settings = _resolved(config)
    check_complete(settings, types)
    types = {**types, **types_of(settings)}
    typed = {key.lstrip("+"): text.strip() for key, _, text in (override.partition("=") for override in overrides)}
    names = [name for name in typed if is_text(types.get(name))]
    if misread := [name for name in names if isinstance(OmegaConf.select(config, name), int | float)]:
        config = copy.deepcopy(config)
        for name in misread:
            OmegaConf.update(config, name, typed[name])
        settings = _resolved(config)  # anew, for interpolations spread what was misread
    return read_all(settings, types)


def _resolved(config: DictConfig) -> dict[str, Any]:
    values = {str(key): config[key] for key in config if key != "hydra"}
    return {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in values.items()
    }


def build(node: Mapping[str, Any], drop: Sequence[str] = ()) -> Any:
    """Make the object that a config node describes by its `_target_`; lists become tuples.

    Args:
        drop: keys that are not settings of the object.

    Raises:
        SettingError: the class doesn't exist, or lacks a setting that the node gives.
    """
    from hydra.utils import get_class

    settings = {key: _built(value) for key, value in node.items() if key not in ("_target_", *drop)}
    try:
        target = get_class(node["_target_"])
    except KeyError:
        raise SettingError(f"This config node lacks _target_, the class that it describes: {dict(node)}") from None
    except Exception as error:  # Hydra wraps whatever the import raised
        raise SettingError(f"_target_: {node['_target_']} can't be imported: {error}") from error
    known = [field.name for field in fields(target) if field.init]
    for key in settings:
        if key not in known:
            raise SettingError(f"{target.__name__} has no setting {key!r}; it has {', '.join(known)}.")
    return target(**settings)


def build_dataset(node: Mapping[str, Any]) -> Any:
    """Make the data set's source that a config node describes."""
    return build(node, drop=ADVICE)


def _built(value: Any) -> Any:
    if isinstance(value, Mapping):
        return build(value) if "_target_" in value else {key: _built(item) for key, item in value.items()}
    return tuple(_built(item) for item in value) if isinstance(value, list) else value


def resolve_precision(asked: str, accelerator: str) -> str:
    """Return the precision that Lightning will really use: on a CPU 16-mixed is bf16-mixed.

    Raises:
        SettingError: the CPU can't do it.
    """
    if not asked.startswith("16-"):
        return asked
    on_cpu = accelerator == "cpu"
    if accelerator == "auto":
        import torch

        on_cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    if on_cpu and asked == "16-true":
        raise SettingError("precision=16-true needs a GPU.\nOn a CPU take bf16-true, bf16-mixed or 32-true.")
    return "bf16-mixed" if on_cpu else asked


def explain(error: Exception, overrides: Sequence[str] = (), config_name: str = "config") -> str:
    """Say in at most three lines what is wrong with a config.

    Args:
        overrides: those that it was composed with.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = sorted(error.options or [])
        if group and options:
            near = get_close_matches(name, options, n=1)
            hint = f" Did you mean {group}={near[0]}?" if near else ""
            return f"{group}={name}: there is no such {group}.{hint}\nThere are: {', '.join(options)}."
    if isinstance(error, OverrideParseException) and "while evaluating" not in str(error):
        return unreadable(str(error.override))
    if "Ambiguous value for argument" in str(error):
        return (
            "A list of values with commas is a grid: run it with -m, as in python -m scaling.run -m n=1000,10000\n"
            "A comma that belongs to the value is typed in quotes: 'dataset.path=\"a,b.npz\"'"
        )
    unknown = re.match(r"Could not override '([^']+)'", str(error))
    if unknown:
        return f"There is no setting {unknown[1]}.{_settings_near(unknown[1], overrides, config_name)}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    noise = ("full_key", "object_type", "See https", "To append to your config", "reference_type")
    return "\n".join([line for line in lines if not line.startswith(noise)][:3])


def _settings_near(name: str, overrides: Sequence[str], config_name: str) -> str:
    """Name the settings that stand where an unknown one was looked for, under the groups that are chosen."""
    # Groups alone: other settings may be wrong too, and this message is about the first.
    groups = [text for text in overrides if re.fullmatch(r"(model|dataset|adaptation|trainer)=\w+", text)]
    try:
        config = _resolved(compose(groups if config_name == "config" else [], config_name))
    except SettingError:
        return ""
    *path, last = name.split(".")
    for part in path:
        inner = config.get(part)
        config = inner if isinstance(inner, dict) else {}
    known = [key for key in config if not key.startswith("_")]
    near = get_close_matches(last, known, n=1)
    prefix = "".join(f"{part}." for part in path)
    hint = f" Did you mean {prefix}{near[0]}?" if near else ""
    return f"{hint}\nThere are: {', '.join(prefix + key for key in known)}." if known else hint


def stops_on_user_errors(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Make a Hydra task exit with a short message on a user's error; Hydra would add lines of its own."""

    @functools.wraps(task)
    def stopping(config: DictConfig) -> Any:
        try:
            return task(config)
        except Exception as error:
            exit_with(error)

    return stopping


def exit_with(error: Exception, config_name: str = "config") -> NoReturn:
    """Print an error and exit with code 1. A user's error needs no traceback; SCALING_TRACEBACK=1 shows it."""
    ours = isinstance(error, ScalingError) or from_hydra(error)
    if not ours or os.environ.get(TRACEBACK) == "1":
        print(mask("".join(traceback.format_exception(error))), file=sys.stderr)
    if ours:
        message = str(error) if isinstance(error, ScalingError) else explain(error, sys.argv[1:], config_name)
        print(f"error: {mask(message)}", file=sys.stderr)
    raise SystemExit(1)


def lifted(override: str) -> str:
    """Return a setting of the store without its credentials, which `scaling.core.secrets` restores where it is used.

    >>> lifted("tracking.uri=http://me:pa(ss@host")
    "tracking.uri='http://***@host'"
    """
    name, _, value = override.partition("=")
    if name.lstrip("+") != "tracking.uri" or "${" in value or value.count("://") > 1:
        return override
    quote = value[:1]
    if quote in ("'", '"') and value.endswith(quote):
        uri = value[1:-1].replace(f"\\{quote}", quote)
    else:
        uri = re.sub(r"\\([\\()\[\]{}:=, \t])", r"\1", value)
    shown = lift(uri)
    return override if shown == uri else f"{name}={quoted(shown)}"


def quoted(text: str) -> str:
    """Return a text as Hydra's grammar takes any text."""
    return "'" + text.replace("'", r"\'") + "'"


def run_application(application: Callable[[], Any], config_name: str = "config") -> None:
    """Run a Hydra application; a user's error becomes a short message on stderr and exit code 1."""
    guard()
    sys.argv[1:] = map(lifted, sys.argv[1:])
    # Hydra would print and exit by itself; asked for full errors it raises, and we say it shorter.
    asked = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = flags_last([text if text.startswith("-") else spelled(text) for text in sys.argv[1:]])
    try:
        application()
    except Exception as error:
        exit_with(error, config_name)
    except KeyboardInterrupt:
        print("interrupted: start the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        if asked is None:
            del os.environ["HYDRA_FULL_ERROR"]
