"""A hand-written forward pass over uint8 arrays in memory: folded, channels_last, whole batches, no framework.

The best batch size is found beforehand (`best_batch_size`); threads are torch's own, one a core.
"""

import time

import torch
from torch import Tensor, nn

from scaling.modalities.images import Preprocessing
from scaling.models.inference import for_inference

SIZES = (16, 32, 64, 128, 256)


class PlainForward:
    """The loop that a careful person writes for one network, one precision, and images that lie in memory."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, precision: str) -> None:
        self.network = for_inference(network, precision)
        self.preprocessing = preprocessing
        if precision not in ("32-true", "bf16-mixed"):
            raise ValueError(f"{precision}: this loop knows 32-true and bf16-mixed")
        self.dtype = torch.bfloat16 if precision == "bf16-mixed" else None

    @torch.inference_mode()
    def run(self, pixels: Tensor, batch_size: int) -> Tensor:
        """Return the features (N, d) of uint8 images (N, H, W, C)."""
        parts = []
        with torch.autocast("cpu", self.dtype, enabled=self.dtype is not None):
            for block in pixels.split(batch_size):
                batch = self.preprocessing.normalise(self.preprocessing.geometry(block.numpy()))
                parts.append(self.network(batch.contiguous(memory_format=torch.channels_last)).flatten(1).float())
        return torch.cat(parts)

    def best_batch_size(self, pixels: Tensor, repeats: int = 2) -> int:
        """Return the batch size with the most images a second."""
        rates = {}
        for size in SIZES:
            images = pixels[: max(2 * size, 64)]
            for _ in range(repeats):
                started = time.perf_counter()
                self.run(images, size)
                rates[size] = max(rates.get(size, 0.0), len(images) / (time.perf_counter() - started))
        return max(rates, key=rates.__getitem__)
