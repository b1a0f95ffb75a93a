"""Features that come with the data set: the rows of its vectors are handed out as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import SettingError
from scaling.datasets.base import Dataset
from scaling.modalities.vectors import VECTORS, Vectors
from scaling.models.base import ModelSource

#: Given features are 32-bit floats and pass through no network, whatever precision is asked for.
PRECISION = "32-true"


@dataclass(frozen=True)
class GivenFeatures:
    """Serves the rows of a data set of vectors; nothing is computed, nothing is stored."""

    dataset: Dataset

    computed: ClassVar[int] = 0
    model_size: ClassVar[Mapping[str, float]] = {}

    def rows(self, split: str, samples: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the rows (k, d) of samples of a split, a copy that the caller may change."""
        return cast(Vectors, self.dataset.split(split).samples).rows[samples]


def check_match(dataset: Dataset, model: ModelSource) -> None:
    """Raise SettingError where a model takes other samples than the data set holds."""
    held = dataset.train.samples.modality
    if held == model.modality:
        return
    if held == VECTORS:
        raise SettingError(
            f"{dataset.name} holds features, not samples that {model.id} could read.\n"
            "Leave model= out, or take model=given; model.id=NAME then says in labels which encoder made them."
        )
    if model.modality == VECTORS:
        raise SettingError(
            f"model=given has no network, and {dataset.name} holds samples that need one.\n"
            "Leave model= out or name another model; for features of your own take dataset=embeddings."
        )
    raise SettingError(
        f"{model.id} reads {model.modality}, and {dataset.name} holds {held}.\n"
        f"Take a model= that reads {held}, or another dataset=."
    )
