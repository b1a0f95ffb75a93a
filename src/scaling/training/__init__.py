"""Training networks with Lightning: how long, on which batches, from which checkpoint; no torch at import."""

from scaling.training.recipe import LoraSettings, Recipe, TrainingSettings
from scaling.training.work import Trained, Work

__all__ = ["LoraSettings", "Recipe", "Trained", "TrainingSettings", "Work"]
