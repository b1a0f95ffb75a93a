"""The articles' own loop: every image transformed by itself, a DataLoader, float32, one pass for each n and part.

`python -m benchmarks.baselines.article_loop DATA SIZE IMAGES PASSES` prints the seconds of each pass over IMAGES
images, start-up excluded, in a process with the defaults of Python, torch and glibc. The cost of the loop is
proportional to the images, so a whole run is a multiple of that.
"""

import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """Arrays of images and labels as torchvision's data sets hand them out: a PIL image through a transform."""

    def __init__(self, pixels, labels, transform) -> None:  # type: ignore[no-untyped-def]
        self.pixels, self.labels, self.transform = pixels, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.pixels[index, :, :, 0], mode="L")), int(self.labels[index])


def accuracy(network: nn.Module, dataset: Dataset[tuple[torch.Tensor, int]]) -> float:
    """Return the share of images whose label is the largest output, as the articles compute it."""
    loader = DataLoader(dataset, batch_size=64, shuffle=False)
    correct = total = 0
    network.eval()
    with torch.no_grad():
        for images, labels in loader:
            predicted = network(images).argmax(dim=1)
            correct += (predicted == labels).sum().item()
            total += len(labels)
    return correct / total


def main(data_dir: str, size: int, images: int, passes: int) -> None:
    """Print the seconds of each pass."""
    from benchmarks.workload import fashion_mnist, lite0

    network = lite0(size).network()
    transform = transforms.Compose(
        [
            transforms.Grayscale(3), transforms.Resize(size), transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )  # fmt: skip
    split = fashion_mnist(data_dir).train
    part = Subset(Pictures(split.samples.pixels, split.labels, transform), range(images))  # type: ignore[attr-defined]
    accuracy(network, Subset(part, range(64)))  # warms up
    for _ in range(passes):
        started = time.perf_counter()
        accuracy(network, part)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
