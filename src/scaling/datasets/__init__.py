"""Data sets: load, verify, hand out samples and labels. No torch at import."""

from scaling.datasets.audio_folder import AudioFolder
from scaling.datasets.base import Dataset, DataSource, Split, load
from scaling.datasets.cifar import Cifar
from scaling.datasets.conll import Conll
from scaling.datasets.digits import Digits
from scaling.datasets.embeddings import Embeddings
from scaling.datasets.entities import Entities
from scaling.datasets.fashion_mnist import FashionMnist
from scaling.datasets.folders import ImageFolder
from scaling.datasets.hugging_face import HuggingFace
from scaling.datasets.manifest import Manifest
from scaling.datasets.newsgroups import Newsgroups
from scaling.datasets.spoken_language import SpokenLanguage
from scaling.datasets.text_table import TextTable
from scaling.datasets.tweets import Tweets

__all__ = [
    "AudioFolder", "Cifar", "Conll", "DataSource", "Dataset", "Digits", "Embeddings", "Entities", "FashionMnist",
    "HuggingFace", "ImageFolder", "Manifest", "Newsgroups", "Split", "SpokenLanguage", "TextTable", "Tweets", "load",
]  # fmt: skip
