"""Adaptations: what is done with the n samples. One file each; no torch at import."""

from scaling.adapt.as_is import AsIs
from scaling.adapt.base import Adaptation, Context, Outcome, Subset
from scaling.adapt.finetune import Finetune
from scaling.adapt.knn import Knn
from scaling.adapt.linear_probe import LinearProbe
from scaling.adapt.lora import Lora

__all__ = ["Adaptation", "AsIs", "Context", "Finetune", "Knn", "LinearProbe", "Lora", "Outcome", "Subset"]
