"""From uint8 images to what a network takes. Parameters here; torch is imported where it is applied."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from scaling.core.errors import DataError, SettingError
from scaling.core.reading import Checked, Count
from scaling.modalities.images.samples import IMAGES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from scaling.modalities.base import Batch, Samples
    from scaling.modalities.images.decoded import Decoded

Interpolation = Literal["nearest", "bilinear", "bicubic"]
AUGMENTATIONS = ("crop", "resized_crop", "flip", "randaugment")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing(Checked):
    """Resize the shorter side, crop the centre, scale to 0 … 1, normalise.

    Attributes:
        resize: length of the shorter side in pixels; None keeps the image's own.
        crop: side of the central square; None keeps all. Images smaller than it are padded with black.
        mean, std: per channel, on the scale 0 … 1; one value serves all channels.
        channels: a grey image is repeated to this many channels; None keeps what there is.
        squeeze: whether the longer side is resized to `resize` as well, whatever the image's aspect.
    """

    resize: Count | None = None
    crop: Count | None = None
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels: Count | None = 3
    squeeze: bool = False

    node: ClassVar[str] = "model.preprocessing"

    def at_size(self, size: int | None) -> "Preprocessing":
        """Return this preprocessing at another resolution: the shorter side resized to `size`, and none of it cut off.

        The models' own recipes resize to about 8/7 of the crop and cut the rim. That suits photographs; of the
        small images that `input_size` is meant for, whose object fills the frame, the rim is part of the object.
        """
        return self if size is None else replace(self, resize=size, crop=size)

    def geometry_only(self) -> "Preprocessing":
        """Return this preprocessing without what is done to values: what `geometry` is a function of."""
        return Preprocessing(self.resize, self.crop, self.interpolation, squeeze=self.squeeze)

    def identity(self) -> dict[str, Any]:
        """Return the parameters, JSON-like; of an aspect that is kept nothing is said."""
        told = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return told if self.squeeze else {key: value for key, value in told.items() if key != "squeeze"}

    def reader(self, samples: "Samples") -> "Decoded":
        """Return how images are read; readers of the same images at the same geometry are one."""
        from scaling.modalities.images.decoded import decoded

        return decoded(samples, self)  # type: ignore[arg-type]

    def prepare(self, batch: "Batch") -> "Batch":
        """Normalise a batch on the device where it is."""
        return {IMAGES: self.normalise(batch[IMAGES])}

    def check_augment(self, names: Sequence[str]) -> None:
        """Raise SettingError where there is no such augmentation of images."""
        if not set(names) <= set(AUGMENTATIONS):
            raise SettingError(
                f"adaptation.augment={list(names)}: expected a list of {', '.join(AUGMENTATIONS)}; or []."
            )

    def augmented(self, batch: "Batch", names: Sequence[str], seeds: "NDArray[np.int64]") -> "Batch":
        """Augment images, each by its own seed."""
        from scaling.modalities.images.augment import augmented

        return {IMAGES: augmented(batch[IMAGES], names, seeds)}

    def geometry(self, images: "np.ndarray | Sequence[np.ndarray]") -> "Tensor":
        """Resize and crop uint8 images (k, H, W, C), or a list of (H, W, C), to one uint8 batch (k, C, H', W').

        Raises:
            DataError: images of several sizes stay so.
        """
        import numpy as np
        import torch

        if isinstance(images, np.ndarray):
            return self._resized(torch.from_numpy(images).permute(0, 3, 1, 2))
        parts = [self._resized(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]) for image in images]
        shapes = {tuple(part.shape[1:]) for part in parts}
        if len(shapes) > 1:
            raise DataError(
                f"Images of several sizes ({sorted(shapes)[:2]} …) can't share a batch.\n"
                "Set model.input_size=, or a preprocessing that resizes."
            )
        return torch.cat(parts)

    def _resized(self, batch: "Tensor") -> "Tensor":
        from torchvision.transforms.v2 import InterpolationMode
        from torchvision.transforms.v2 import functional as transform

        if self.resize is not None:
            batch = transform.resize(
                batch,
                [self.resize] * (1 + self.squeeze),
                interpolation=InterpolationMode(self.interpolation),
                antialias=True,
            )
        if self.crop is not None:
            batch = transform.center_crop(batch, [self.crop, self.crop])
        return batch

    def normalise(self, batch: "Tensor") -> "Tensor":
        """Turn a uint8 batch (k, C, H, W) into normalised floats, on the device where the batch is."""
        import torch

        if self.channels is not None and batch.shape[1] == 1 and self.channels > 1:
            batch = batch.expand(-1, self.channels, -1, -1)
        # Lightning's true half precisions make half the default: the arithmetic here stays in float32.
        mean = torch.tensor(self.mean, dtype=torch.float32, device=batch.device).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32, device=batch.device).view(-1, 1, 1)
        # (x / 255 − mean) / std in two passes over the batch instead of three.
        return batch.float().mul_(1 / (255 * std)).sub_(mean / std)
