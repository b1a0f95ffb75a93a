"""Augmentation of training images with torchvision's transforms, each image by random numbers of its own.

torchvision applies one draw to a whole batch, so images are augmented one by one. An image's draw follows from its
seed alone: not from the other images, the process or the part of the batch that it is in.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2

#: Share of the image's side by which `crop` may shift it; half of what the pixels move in all.
SHIFT = 1 / 8
#: Smallest share of the image's area that `resized_crop` keeps.
LEAST_AREA = 0.35

Augment = Callable[[Tensor], Tensor]


@lru_cache(maxsize=8)
def augmentation(names: tuple[str, ...], height: int, width: int) -> Augment | None:
    """Return what is done to a uint8 image (C, H, W), or None where nothing is."""
    if not names:
        return None
    size = (height, width)
    padding = [max(1, round(width * SHIFT)), max(1, round(height * SHIFT))]
    known: dict[str, Callable[[], Augment]] = {
        "crop": lambda: v2.RandomCrop(size, padding=padding, padding_mode="reflect"),
        "resized_crop": lambda: v2.RandomResizedCrop(size, scale=(LEAST_AREA, 1.0), antialias=True),
        "flip": lambda: v2.RandomHorizontalFlip(),
        "randaugment": lambda: v2.RandAugment(),
    }
    steps = [known[name]() for name in names]

    def apply(image: Tensor) -> Tensor:
        for step in steps:
            image = step(image)
        return image

    return apply


def augmented(images: Tensor, names: Sequence[str], seeds: NDArray[np.int64]) -> Tensor:
    """Augment uint8 images (k, C, H, W), each by its own seed, shape (k,); the global random state is not moved."""
    augment = augmentation(tuple(names), *images.shape[-2:])
    if augment is None:
        return images
    with torch.random.fork_rng(devices=[]):
        done = []
        for image, seed in zip(images, seeds.tolist(), strict=True):
            torch.default_generator.manual_seed(seed)
            done.append(augment(image))
    return torch.stack(done)
