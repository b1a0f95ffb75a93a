"""Pre-trained networks: build a backbone with its own head, weights and preprocessing. No torch at import."""

from scaling.models.base import Backbone, ModelSource, NetworkSource, build
from scaling.models.given import Given
from scaling.models.hashed_ngrams import HashedNgrams
from scaling.models.sound import LogMel, Resemblyzer
from scaling.models.sources import Pixels, TimmModel, TorchHubModel, TorchvisionModel
from scaling.models.transformers import TransformersModel

__all__ = [
    "Backbone", "Given", "HashedNgrams", "LogMel", "ModelSource", "NetworkSource", "Pixels", "Resemblyzer", "TimmModel",
    "TorchHubModel", "TorchvisionModel", "TransformersModel", "build",
]  # fmt: skip
