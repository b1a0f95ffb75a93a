"""Images: arrays or files, decoded, resized, augmented and normalised. No torch at import."""

from scaling.modalities.images.preprocessing import Preprocessing
from scaling.modalities.images.samples import IMAGES, ArrayImages, FileImages, Images

__all__ = ["IMAGES", "ArrayImages", "FileImages", "Images", "Preprocessing"]
