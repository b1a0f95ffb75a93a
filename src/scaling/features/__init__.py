"""Frozen features: computed once through Lightning, kept on disk by content, served by row. No torch at import."""

from scaling.features.given import GivenFeatures
from scaling.features.provider import FeatureProvider, Features, FeatureSettings
from scaling.features.store import FeatureEntry, FeatureStore

__all__ = ["FeatureEntry", "FeatureProvider", "FeatureSettings", "FeatureStore", "Features", "GivenFeatures"]
