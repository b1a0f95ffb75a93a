"""A fitted head as a run keeps it, and the scorer of new samples that `mlflow.pyfunc.load_model` makes of it.

Its weights lie in head.safetensors, all else in head.json; nothing is unpickled.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling.config import build
from scaling.core.errors import DataError
from scaling.modalities.base import Samples
from scaling.modalities.images.samples import ArrayImages
from scaling.modalities.texts import Texts
from scaling.tasks.base import Task

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS, ABOUT = "head.safetensors", "head.json"
#: Samples that pass through the network at once.
BATCH = 64


def keep(folder: Path, head: Mapping[str, NDArray[Any]], task: Task, model: Mapping[str, Any], precision: str) -> None:
    """Write a head.

    Args:
        head: `weight` (outputs, d), `bias` (outputs,), and the features' `mean` and `scale`, (d,).
        model: settings of the model whose features it takes.
        precision: of that model's passes.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    save_file({name: np.ascontiguousarray(array) for name, array in head.items()}, folder / WEIGHTS)
    kind = type(task)
    about = {
        "task": {"_target_": f"{kind.__module__}.{kind.__qualname__}", "class_names": list(task.class_names)},
        "model": model,
        "precision": precision,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


class FittedHead:
    """Scores new samples with a head that a run kept, behind the model that it was fitted on."""

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file

        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        self.parts = load_file(folder / WEIGHTS)
        self.task: Task = build(about["task"])
        self.settings, self.precision = about["model"], about["precision"]

    @cached_property
    def model(self) -> Any:
        """The model whose features the head takes."""
        return build(self.settings)

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Return the probability of each class, one row a sample and one column a class.

        Args:
            model_input: features (k, d), as array or table; or what the model itself takes: texts as a list, or as
                a table with one column; images as uint8, (k, height, width, channels).
            params: nothing is asked.

        Raises:
            DataError: samples of another kind or width.
        """
        import pandas as pd
        import torch

        from scaling.adapt.heads import linear_head

        features = torch.from_numpy(self.features(model_input))
        head = linear_head(self.task, *(self.parts[name] for name in ("weight", "bias", "mean", "scale")))
        return pd.DataFrame(head(features).exp().numpy(), columns=list(self.task.class_names))

    def features(self, model_input: Any) -> NDArray[np.float32]:
        """Return the features (k, d) of new samples."""
        given = np.asarray(model_input)
        width = self.parts["weight"].shape[1]
        if given.dtype == np.uint8 and given.ndim == 4:
            return self._encoded(ArrayImages(given))
        texts = given.reshape(-1).tolist() if given.ndim == 1 or given.shape[1:] == (1,) else []
        if texts and all(isinstance(text, str) for text in texts):
            return self._encoded(Texts(tuple(texts)))
        if given.ndim != 2 or given.shape[1] != width or not np.issubdtype(given.dtype, np.number):
            raise DataError(
                f"Samples of shape {given.shape} and type {given.dtype}: expected features (k, {width}), a list of"
                " texts, or images as uint8, (k, height, width, channels)."
            )
        return np.array(given, dtype=np.float32)

    def _encoded(self, samples: Samples) -> NDArray[np.float32]:
        from scaling.features.forward import encoder

        if samples.modality != self.model.modality:
            raise DataError(f"Samples are {samples.modality}: {self.model.id} takes {self.model.modality}.")
        encode = encoder(self.model, self.precision, {"accelerator": "auto", "devices": 1}, samples)
        blocks = np.split(np.arange(len(samples)), range(BATCH, len(samples), BATCH))
        return np.concatenate([encode(block).numpy() for block in blocks])


def _load_pyfunc(path: str) -> FittedHead:
    """Make what MLflow calls a Python function of a kept head."""
    return FittedHead(Path(path))
