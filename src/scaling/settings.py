"""The type of every setting, found from the dataclasses that settings belong to, and all of them read by it."""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from scaling.core.errors import SettingError
from scaling.core.reading import Bounds, Count, hints, read, shown
from scaling.core.subsets import Draw

Precision = Literal["32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true"]
#: Types of the settings of a grid point that belong to no class; those of the others are their class's.
TYPES: Mapping[str, Any] = {
    "target": float | None, "until": Literal["target", "saturation", "ranking"] | None, "budget": str | None,
    "seed": Annotated[int, Bounds(0)], "precision": Precision, "subset.draw": Draw,
    "data.dir": str,
    "checkpoints.dir": str, "checkpoints.seconds": Annotated[float, Bounds(0)], "keep_checkpoint": bool,
    "keep_model": bool, "force": bool, "plan": bool, "progress": bool, "tracking.uri": str | None,
    "tracking.experiment": str, "tracking.system_metrics": bool,
    "trainer.accelerator": str, "trainer.benchmark": bool | None, "trainer.num_nodes": int, "trainer.strategy": str,
    "trainer.deterministic": bool | Literal["warn"] | None, "trainer.devices": int | str | tuple[int, ...],
    "trainer.micro_batch": Count | None, "launch.points_per_job": Count | None,
    "launch.group_by": Literal["backbone"] | None,
}  # fmt: skip
#: Nodes whose class is no choice.
CLASSES = {"features": "scaling.features.FeatureSettings"}
#: What a grid point is made of, beside n and settings of a known type.
PARTS = ("model", "dataset", "adaptation", "features", "trainer")


def types_of(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the types of settings by dotted name, from the classes that they belong to."""
    target = settings.get("_target_") or CLASSES.get(prefix.removesuffix("."))
    types = {f"{prefix}{key}": kind for key, kind in (_hints(target) if target else {}).items()}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            types |= types_of(value, f"{prefix}{key}.")
    return types


@functools.lru_cache(maxsize=64)
def _hints(target: str) -> Mapping[str, Any]:
    """Return the types of a class's settings; none where they can't be had, for then making it says why."""
    from hydra.utils import get_class

    try:
        return hints(get_class(target))
    except Exception:  # whatever an import raises
        return {}


def check_complete(settings: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Raise SettingError where a setting was taken out, or a node was replaced by a value."""
    parts = PARTS if types is TYPES else ()
    nodes = {name.partition(".")[0] for name in types if "." in name} | {*parts}
    for node in sorted(nodes & {*settings}):
        if not isinstance(settings[node], Mapping):
            raise SettingError(f"{node}={shown(settings[node])}: expected settings, such as {node}.NAME=VALUE.")
    for name in (*parts, "n", *types) if parts else types:
        node, _, key = name.rpartition(".")
        if node != "trainer" and key not in (settings.get(node, {}) if node else settings):
            raise SettingError(f"{name} is missing: it may be changed, but not taken out.")


def read_all(settings: Mapping[str, Any], types: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Read every setting of a known type; nodes that describe an object are read setting by setting."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and (name not in types or "_target_" in value):
            found[key] = read_all(value, types, f"{name}.")
        else:
            found[key] = read(types[name], value, name) if name in types else value
            # That a network's name is missing, its class says better.
            if found[key] == "" and types.get(name) is str and name != "model.name":
                raise SettingError(f"{name}=: expected text.")
    return found
