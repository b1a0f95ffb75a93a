"""The models and data that the benchmarks share."""

import os
from functools import cache
from pathlib import Path

from scaling.config import build, build_dataset, compose, plain
from scaling.datasets import Dataset
from scaling.datasets.base import load
from scaling.models import NetworkSource

#: Folder of Fashion-MNIST, where it is not in ./data; from BENCH_DATA.
DATA = str(Path(os.environ.get("BENCH_DATA", "data")).resolve())


@cache
def fashion_mnist(data_dir: str = DATA) -> Dataset:
    """Return Fashion-MNIST."""
    config = plain(compose([f"data.dir={data_dir}"]))
    return load(build_dataset(config["dataset"]))


def model(name: str, size: int, *overrides: str) -> NetworkSource:
    """Return a model of conf/model at an input size."""
    return build(plain(compose([f"model={name}", f"model.input_size={size}", *overrides]))["model"])


def lite0(size: int) -> NetworkSource:
    """Return EfficientNet-Lite0 with its ImageNet weights."""
    return model("efficientnet_lite0", size)
