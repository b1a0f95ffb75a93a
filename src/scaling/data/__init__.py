"""Data sets: load, verify, hand out samples and labels; and the preprocessing of images. No torch at import."""

from scaling.data.base import ArrayImages, Dataset, DataSource, FileImages, Images, Samples, Split, Vectors, load
from scaling.data.cifar import Cifar
from scaling.data.digits import Digits
from scaling.data.embeddings import Embeddings
from scaling.data.fashion_mnist import FashionMnist
from scaling.data.folders import ImageFolder
from scaling.data.hugging_face import HuggingFace
from scaling.data.manifest import Manifest
from scaling.data.newsgroups import Newsgroups
from scaling.data.preprocessing import Preprocessing
from scaling.data.text_table import TextTable
from scaling.data.tweets import Tweets

__all__ = [
    "ArrayImages", "Cifar", "DataSource", "Dataset", "Digits", "Embeddings", "FashionMnist", "FileImages",
    "HuggingFace", "ImageFolder", "Images", "Manifest", "Newsgroups", "Preprocessing", "Samples", "Split",
    "TextTable", "Tweets", "Vectors", "load",
]  # fmt: skip
