"""Fashion-MNIST (Xiao et al. 2017, MIT licence): 60 000 training and 10 000 test images of 28 × 28 grey pixels."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError
from scaling.datasets.base import Dataset, Split, verify
from scaling.datasets.download import fetch_with_torchvision
from scaling.modalities.images import ArrayImages

#: Height, width and channels of an image.
SHAPE = (28, 28, 1)

CLASS_NAMES = (
    "T-shirt_top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle_boot",
)  # fmt: skip
FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
#: Where files may lie under `data.dir`: torchvision's place, the Debian package's, unpacked or by hand.
PLACES = ("FashionMNIST/raw", "usr/share/datasets/fashion-mnist", "fashion-mnist", "fashion_mnist")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
IDX_UINT8 = 0x08


@dataclass(frozen=True)
class FashionMnist:
    """Fashion-MNIST from `data_dir`, else from Debian's package, else through torchvision's download."""

    data_dir: str
    download: bool = True
    name: str = "fashion_mnist"

    def load(self) -> Dataset:
        """Read and verify the four idx files.

        Raises:
            DataError: no files are found and none can be downloaded, or they are damaged.
        """
        folder = self.locate() or self._fetch()
        parts = {part: read_idx(find(folder, file)) for part, file in FILES.items()}

        def split(which: str) -> Split:
            pixels = parts[f"{which}_images"][..., None]
            if pixels.shape[1:] != SHAPE:
                raise DataError(
                    f"{self.name}: got images of shape {pixels.shape[1:]} in {folder}, expected {SHAPE}.\n"
                    "The files are damaged or of another data set: fetch them again."
                )
            return Split(ArrayImages(pixels), parts[f"{which}_labels"].astype(np.int64))

        dataset = Dataset(self.name, CLASS_NAMES, split("train"), split("test"), self.name, str(folder))
        return verify(dataset, sizes=(60_000, 10_000))

    def locate(self) -> Path | None:
        """Return the first folder that holds all four files, compressed or not."""
        candidates = [*(Path(self.data_dir) / place for place in PLACES), DEBIAN]
        return next((folder for folder in candidates if all(exists(folder, f) for f in FILES.values())), None)

    def _fetch(self) -> Path:
        remedy = (
            "Install Debian's package dataset-fashion-mnist, or put the four idx .gz files into "
            f"{Path(self.data_dir) / 'fashion-mnist'}."
        )
        if not self.download:
            raise DataError(f"fashion_mnist is not in {self.data_dir} and dataset.download=false.\n{remedy}")
        fetch_with_torchvision("FashionMNIST", self.data_dir, remedy)
        return Path(self.data_dir) / PLACES[0]


def exists(folder: Path, name: str) -> bool:
    """Say whether the file is there, plain or compressed."""
    return (folder / name).is_file() or (folder / f"{name}.gz").is_file()


def find(folder: Path, name: str) -> Path:
    """Return the compressed file where there is one (it carries a checksum), else the plain one."""
    compressed = folder / f"{name}.gz"
    return compressed if compressed.is_file() else folder / name


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, gzip-compressed where its name ends in .gz.

    Format: two zero bytes, element type, number of dimensions, each dimension as big-endian uint32, the data
    (LeCun, http://yann.lecun.com/exdb/mnist/).

    Raises:
        DataError: the file is truncated, damaged, or not an idx file of bytes.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} can't be read: {error}.\nDelete it and fetch the data set again.") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != IDX_UINT8:
        raise DataError(f"{path} is not an idx file of unsigned bytes.\nDelete it and fetch the data set again.")
    header = 4 + 4 * raw[3]
    if len(raw) < header:
        raise DataError(f"{path} ends within its header.\nDelete it and fetch the data set again.")
    shape = tuple(int(size) for size in np.frombuffer(raw[4:header], dtype=">u4"))
    expected = int(np.prod(shape, dtype=np.int64))
    if len(raw) - header != expected:
        raise DataError(
            f"{path} holds {len(raw) - header} bytes of data, expected {expected} for shape {shape}.\n"
            "Delete it and fetch the data set again."
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)
