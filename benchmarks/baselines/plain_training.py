"""A hand-written fine-tuning loop over uint8 images in memory: no framework, the same augmentation and mathematics.

The best micro-steps are found beforehand (`best_threads`): batch norms frozen, channels_last, fused AdamW, warm-up and
cosine, label smoothing; what a careful person writes for one network and one precision.
"""

import copy
import math
import time

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from scaling.modalities.images import Preprocessing


class PlainTraining:
    """The loop for one network in 32-true."""

    def __init__(self, network: nn.Module, features: int, classes: int, preprocessing: Preprocessing) -> None:
        self.network = nn.Sequential(copy.deepcopy(network), nn.Flatten(1), nn.Linear(features, classes))
        self.network.requires_grad_(True).train()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        self.network.to(memory_format=torch.channels_last)
        self.preprocessing = preprocessing
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        others = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-4, fused=True)

    def run(self, images: Tensor, labels: Tensor, batch: int, steps: int, augment) -> float:  # type: ignore[no-untyped-def]
        """Train for some steps; return images a second.

        Args:
            images, labels: uint8 (N, C, H, W) and (N,).
            augment: what is done to one image; the same as the other side does.
        """
        order = torch.randperm(len(images))
        started = time.perf_counter()
        for step in range(steps):
            taken = order[torch.arange(step * batch, (step + 1) * batch) % len(images)]
            inputs = torch.stack([augment(image) for image in images[taken]])
            rate = 1e-4 * 0.5 * (1 + math.cos(math.pi * step / steps))
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            inputs = self.preprocessing.normalise(inputs).contiguous(memory_format=torch.channels_last)
            loss = cross_entropy(self.network(inputs), labels[taken], label_smoothing=0.1)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            loss.item()
        return steps * batch / (time.perf_counter() - started)


def best_threads(training: PlainTraining, images: Tensor, labels: Tensor, batch: int, augment) -> int:  # type: ignore[no-untyped-def]
    """Return the number of threads with the most images a second, of one and all."""
    every = torch.get_num_threads()
    rates = {}
    for threads in {1, every}:
        torch.set_num_threads(threads)
        training.run(images, labels, batch, 1, augment)
        rates[threads] = training.run(images, labels, batch, 2, augment)
    torch.set_num_threads(every)
    return max(rates, key=rates.__getitem__)
