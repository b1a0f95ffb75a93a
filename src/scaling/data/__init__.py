"""Data sets: load, verify, hand out samples and labels; and the preprocessing of images. No torch at import."""

from scaling.data.base import ArrayImages, Dataset, DataSource, FileImages, Images, Samples, Split, Vectors, load
from scaling.data.cifar import Cifar
from scaling.data.digits import Digits
from scaling.data.embeddings import Embeddings
from scaling.data.fashion_mnist import FashionMnist
from scaling.data.folders import ImageFolder
from scaling.data.manifest import Manifest
from scaling.data.preprocessing import Preprocessing

__all__ = [
    "ArrayImages", "Cifar", "DataSource", "Dataset", "Digits", "Embeddings", "FashionMnist", "FileImages",
    "ImageFolder", "Images", "Manifest", "Preprocessing", "Samples", "Split", "Vectors", "load",
]  # fmt: skip
