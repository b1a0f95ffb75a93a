"""Pre-trained networks: build a backbone with its own head, weights and preprocessing. No torch at import."""

from scaling.models.base import Backbone, ModelSource, NetworkSource, build
from scaling.models.given import Given
from scaling.models.sources import Pixels, TimmModel, TorchHubModel, TorchvisionModel

__all__ = [
    "Backbone", "Given", "ModelSource", "NetworkSource", "Pixels", "TimmModel", "TorchHubModel", "TorchvisionModel",
    "build",
]  # fmt: skip
