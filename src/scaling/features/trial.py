"""One pass of one empty sample before anything is run: whether a network can be made and takes such samples."""

from functools import lru_cache

import numpy as np
import torch

from scaling.core.errors import SettingError, UnavailableError
from scaling.modalities.base import Batch, Samples
from scaling.models.base import ModelSource, build

#: Name, shape and type of each tensor of a batch of one sample.
Shapes = tuple[tuple[str, tuple[int, ...], torch.dtype], ...]


def check(source: ModelSource, samples: Samples) -> None:
    """Refuse a model that can't be made, or can't take such samples.

    Raises:
        ModelError: with what works, where the model knows.
    """
    batch = source.processor().reader(samples).read(np.array([0]))
    error = failure(source, batch)
    if error is None:
        return
    if isinstance(error, SettingError):
        raise error
    raise source.refusal(batch, error, failure) from error


def failure(source: ModelSource, batch: Batch) -> Exception | None:
    """Return what making a network and one pass of such a batch raise; None where all is well."""
    shapes = tuple((name, tuple(tensor.shape), tensor.dtype) for name, tensor in batch.items())
    return _failure(source, source.version(), shapes)


@lru_cache(maxsize=64)
def _failure(source: ModelSource, version: str | None, shapes: Shapes) -> Exception | None:
    try:
        backbone = build(source)
        empty = {name: torch.zeros(shape, dtype=dtype) for name, shape, dtype in shapes}
        with torch.inference_mode():
            features = source.encode(backbone.network, source.processor().prepare(empty))
        wanted = features.shape[1] if backbone.head is None else backbone.head.in_features
        if features.shape[1] != wanted:
            raise ValueError(f"its head takes {wanted} features, and there are {features.shape[1]}")
    except UnavailableError:  # not kept: it may be there the next time
        raise
    except Exception as error:  # libraries assert, or raise whatever a layer raises
        return error.with_traceback(None)
    return None
