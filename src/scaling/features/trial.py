"""One pass of one black image before anything is run: whether a network can be made and takes such images."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from scaling.core.errors import ModelError, ScalingError, SettingError, UnavailableError
from scaling.data.base import Images
from scaling.features.forward import features_of
from scaling.models.base import ModelSource, NetworkSource, build, version_of

#: Sides in pixels of which networks take multiples, or that they are made for; asked when another was refused.
SIDES = (14, 16, 32, 64, 224)
#: How many of the sizes that work are told.
TOLD = 2


def check(source: ModelSource, images: Images) -> None:
    """Refuse a model that can't be made, or can't take such images.

    Raises:
        ModelError: with the sizes that work, where others do.
    """
    shape = tuple(source.resolved_preprocessing().geometry(images.read(np.array([0]))).shape[1:])
    error = _error(source, version_of(source), shape)
    if error is None:
        return
    if isinstance(error, SettingError):
        raise error
    height, width = shape[1:]
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(source, NetworkSource):
        own = source.native_preprocessing().crop
        sizes = _sizes(source, shape, own)
        if sizes:
            raise ModelError(
                f"{source.id} takes no images of {width} × {height} px: {reason}\n"
                f"Sizes that work: model.input_size={', '.join(map(str, sizes))} ({own} is its own)."
            ) from error
    if isinstance(error, ScalingError):
        raise error
    raise ModelError(
        f"{source.id} can't be run on images of {width} × {height} px with {shape[0]} channels: {reason}\n"
        "If its head is another layer than the last linear one, name it: model.head=NAME; timm makes a network without"
        " a head with model.num_classes=0."
    ) from error


def _sizes(source: NetworkSource, shape: tuple[int, ...], own: int | None) -> list[int]:
    """Return the sizes nearest to the one refused that work, and the model's own."""
    asked = max(shape[1:])
    near = {side * count for side in SIDES for count in (asked // side, asked // side + 1) if count} - {asked}
    if own is None or _error_at(source, own, shape[0]) is not None:
        return []  # the size is not what is wrong
    found: list[int] = []
    for side in sorted(near - {own}, key=lambda side: (abs(side - asked), side)):
        if _error_at(source, side, shape[0]) is None:
            found.append(side)
        if len(found) == TOLD:
            break
    return sorted([*found, own])


def _error_at(source: NetworkSource, side: int, channels: int) -> Exception | None:
    resized = replace(source, input_size=side)
    return _error(resized, version_of(resized), (channels, side, side))


@lru_cache(maxsize=64)
def _error(source: ModelSource, version: str | None, shape: tuple[int, ...]) -> Exception | None:
    """Return what making a network and one pass raise; None where all is well.

    Args:
        shape: of one image after its geometry, (C, H, W).
    """
    try:
        backbone = build(source)
        with torch.inference_mode():
            black = source.resolved_preprocessing().normalise(torch.zeros(1, *shape, dtype=torch.uint8))
            features = features_of(backbone.network, black)
        wanted = features.shape[1] if backbone.head is None else backbone.head.in_features
        if features.shape[1] != wanted:
            raise ValueError(f"its head takes {wanted} features, and there are {features.shape[1]}")
    except UnavailableError:  # not kept: it may be there the next time
        raise
    except Exception as error:  # libraries assert, or raise whatever a layer raises
        return error.with_traceback(None)
    return None
