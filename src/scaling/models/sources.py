"""The libraries that networks come from: timm, torchvision, torch.hub; and raw pixels."""

import contextlib
import io
import os
import re
import sys
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scaling.core.errors import ModelError, ScalingError, SettingError, UnavailableError, reason_of
from scaling.core.identity import digest
from scaling.core.reading import Count
from scaling.modalities.base import Batch
from scaling.modalities.images import Preprocessing
from scaling.modalities.images.samples import IMAGES
from scaling.models import weights
from scaling.models.base import (
    IMAGENET_PREPROCESSING,
    Backbone,
    Failure,
    NetworkSource,
    Untrained,
    encode_images,
    refused_images,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

#: torchvision weights that a sweep can be planned with before torch is imported: (network, weights) to file name
#: and length of the resized shorter side. A test holds the table against torchvision's own.
PINNED = {
    ("resnet18", "IMAGENET1K_V1"): ("resnet18-f37072fd.pth", 256),
    ("resnet50", "IMAGENET1K_V1"): ("resnet50-0676ba61.pth", 256),
    ("resnet50", "IMAGENET1K_V2"): ("resnet50-11ad3fa6.pth", 232),
    ("vit_b_16", "IMAGENET1K_V1"): ("vit_b_16-c867db91.pth", 256),
    ("convnext_tiny", "IMAGENET1K_V1"): ("convnext_tiny-983f1562.pth", 236),
}
#: The first digits of a file's SHA-256 in its name.
DIGITS = re.compile(r"-([0-9a-f]{8,})\.")
OFFLINE_REMEDY = "Give a local state dict with model.weights=PATH, or take random weights with model.pretrained=false."


def unknown_name(library: str, name: str, known: list[str]) -> ModelError:
    """Return the error for a name that a library doesn't have, with the nearest that it has."""
    near = get_close_matches(name, known, n=5, cutoff=0.5)
    return ModelError(
        f"{library} has no model named {name}; it has {len(known)}"
        + (f", the nearest: {', '.join(near)}." if near else f", e.g. {', '.join(known[:5])}.")
    )


def downloads() -> Path:
    """Return where torch keeps the weights that it downloaded, without importing torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"


def failed_download(what: str, error: Exception) -> UnavailableError:
    """Return the error for weights that can't be fetched."""
    return UnavailableError(f"The weights of {what} can't be fetched: {reason_of(error)[:160]}\n{OFFLINE_REMEDY}")


@dataclass(frozen=True)
class TimmModel(NetworkSource):
    """Any network of timm, its weights from the Hugging Face hub unless `weights` names a file."""

    library: ClassVar[str] = "timm"

    def native_preprocessing(self) -> Preprocessing:
        """Return what timm records beside the weights."""
        import timm
        from timm.data import resolve_data_config

        self._check_name()
        recorded = timm.get_pretrained_cfg(self._full_name())
        config = resolve_data_config(pretrained_cfg=recorded.to_dict() if recorded else {})
        size = int(config["input_size"][-1])
        return Preprocessing(
            resize=int(size / config["crop_pct"]),
            crop=size,
            interpolation=config["interpolation"] if config["interpolation"] in ("bilinear", "nearest") else "bicubic",
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
        )

    def create(self, pretrained: bool) -> "nn.Module":
        """Make the network."""
        import timm

        self._check_name()
        sizes: dict[str, Any] = {} if self.num_classes is None else {"num_classes": self.num_classes}
        side = self.processor().crop
        if side is not None and self._is_made_for_another(side):
            sizes["img_size"] = side
        try:
            network = timm.create_model(self._full_name(), pretrained=pretrained, **sizes)
        except Exception as error:  # the hub's client has many exceptions for "not reachable"
            if not pretrained or "size mismatch" in str(error):
                raise
            raise failed_download(f"timm's {self.name}", error) from error
        patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
        if "img_size" in sizes and isinstance(patch, tuple) and any(side % length for length in patch):
            raise ValueError(f"its patches of {patch[0]} px don't fill {side} px")
        return network

    def _is_made_for_another(self, side: int) -> bool:
        """Say whether timm makes the network for one resolution, and this is another that it doesn't take."""
        import timm
        import torch

        from scaling.models.size import flops

        recorded = timm.get_pretrained_cfg(self._full_name())
        if recorded is None or not recorded.fixed_input_size or recorded.input_size[-1] == side:
            return False
        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # nothing is computed there
            network = timm.create_model(self._full_name(), pretrained=False).eval()
        return flops(self, network, {IMAGES: torch.empty(1, recorded.input_size[0], side, side)}) is None

    def resized(self, state: "Mapping[str, Tensor]", network: "nn.Module") -> "Mapping[str, Tensor]":
        """Interpolate positions as timm does for its own weights."""
        convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch on how timm writes it
            return state if convert is None else convert(state, network)

    def _full_name(self) -> str:
        return self.name if self.tag is None else f"{self.name}.{self.tag}"

    def _check_name(self) -> None:
        import timm

        if not timm.is_model(self.name.split(".")[0]):
            raise unknown_name("timm", self.name, timm.list_models())
        if self.name in (former := timm.models.get_deprecated_models()):
            name, _, tag = (former[self.name] or "").partition(".")
            new = f"Take model.name={name}{tag and f' model.tag={tag}'}." if name else "It is there no longer."
            raise ModelError(f"{self.name} is a former name in timm.\n{new}")
        tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{self.name}.*")]
        if self.tag is not None and self.tag not in tags:
            raise SettingError(f"model.tag={self.tag}: timm's {self.name} has {', '.join(tags) or 'no weights'}.")


@dataclass(frozen=True)
class TorchvisionModel(NetworkSource):
    """Any classification network of torchvision, with weights by name."""

    library: ClassVar[str] = "torchvision"

    def library_weights_identity(self) -> str:
        """Name the weights by their file, whose name ends in the first digits of its SHA-256.

        The download verifies those digits; torch takes a file that is there already as it is, so it is verified here.

        Raises:
            ModelError: such a file is not what its name says.
        """
        pinned = PINNED.get((self.name, self.tag or ""))
        name = pinned[0] if pinned else self._weights().url.rsplit("/", 1)[-1]
        path, digits = downloads() / name, "".join(DIGITS.findall(name))
        if path.is_file() and not (found := weights.file_digest(path)).startswith(digits):
            raise ModelError(
                f"{path} is not what its name says: its SHA-256 begins with {found[: len(digits)]}, expected"
                f" {digits}.\n"
                f"Delete it to have it downloaded again, or, if it is meant, name it: model.weights={path}"
            )
        return f"torchvision:{name}"

    def native_preprocessing(self) -> Preprocessing:
        """Return the transforms that torchvision records beside the weights."""
        pinned = PINNED.get((self.name, self.tag or ""))
        if pinned:
            return replace(IMAGENET_PREPROCESSING, resize=pinned[1])
        transforms = self._weights().transforms()
        return Preprocessing(
            resize=transforms.resize_size[0],
            crop=transforms.crop_size[0],
            interpolation=transforms.interpolation.value,
            mean=tuple(transforms.mean),
            std=tuple(transforms.std),
        )

    def create(self, pretrained: bool) -> "nn.Module":
        """Make the network."""
        from torchvision import models

        self._check_name()
        sizes: dict[str, Any] = {} if self.num_classes is None else {"num_classes": self.num_classes}
        side = self.processor().crop
        made_for: dict[str, dict[str, Any]] = {"vit": {"image_size": side}, "maxvit": {"input_size": (side, side)}}
        resolution = {} if side is None else made_for.get(self.name.partition("_")[0], {})
        if not pretrained:
            return models.get_model(self.name, weights=None, **sizes, **resolution)
        weights = self._weights()
        if self.num_classes not in (None, len(weights.meta["categories"])):
            raise SettingError(
                f"model.num_classes={self.num_classes} doesn't fit torchvision's {weights}.\n"
                "Leave it out, or give your own weights with model.weights=PATH."
            )
        try:
            if not resolution or weights.meta["min_size"][0] == side:
                return models.get_model(self.name, weights=weights)
            state = weights.get_state_dict(check_hash=True)
        except (OSError, RuntimeError) as error:
            raise failed_download(f"torchvision's {self.name}, {weights},", error) from error
        network = models.get_model(self.name, weights=None, **sizes, **resolution)
        network.load_state_dict(self.resized(state, network))
        return network

    def resized(self, state: "Mapping[str, Tensor]", network: "nn.Module") -> "Mapping[str, Tensor]":
        """Interpolate the positions of a vision transformer."""
        from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

        if not isinstance(network, VisionTransformer):
            return state
        return interpolate_embeddings(network.image_size, network.patch_size, OrderedDict(state))

    def _weights(self) -> Any:
        from torchvision import models

        self._check_name()
        known = models.get_model_weights(self.name)
        if self.tag is None:
            return known.DEFAULT
        try:
            return known[self.tag]
        except KeyError:
            raise SettingError(
                f"model.tag={self.tag}: torchvision's {self.name} has {', '.join(entry.name for entry in known)}."
            ) from None

    def _check_name(self) -> None:
        from torchvision import models

        names = models.list_models(module=models)
        if self.name not in names:
            raise unknown_name("torchvision", self.name, names)


@dataclass(frozen=True)
class TorchHubModel(NetworkSource):
    """A network from a torch.hub repository. Its code is run: name only repositories that you trust.

    Attributes:
        repo: OWNER/NAME:REF on GitHub, or a local folder with a hubconf.py. A REF that moves, such as a branch, is
            taken for the same code; name a tag or a commit.
    """

    repo: str | None = None

    library: ClassVar[str] = "torch_hub"

    def identity(self) -> dict[str, Any]:
        """Return what changes the features, the repository included."""
        # A local folder is known by its code, wherever it lies.
        return {**super().identity(), "repo": f"sha256:{self._code()}" if self._local() else self.repo}

    def version(self) -> str | None:
        """Return a hash of the files that the settings name: weights, and the code of a local folder."""
        return f"{super().version()} {self._code()}" if self._local() else super().version()

    def create(self, pretrained: bool) -> "nn.Module":
        """Make the network."""
        import torch

        if not self.repo:
            raise SettingError("model=torch_hub needs model.repo=OWNER/NAME:REF, or a folder with a hubconf.py.")
        sizes = {} if self.num_classes is None else {"num_classes": self.num_classes}
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # torch.hub prints where its cache lies
                return torch.hub.load(
                    self.repo,
                    self.name,
                    source="local" if self._local() else "github",
                    trust_repo=True,
                    pretrained=pretrained,
                    **sizes,
                )
        except (OSError, RuntimeError, ValueError, AttributeError, ImportError) as error:
            raise failed_download(f"{self.repo} {self.name}", error) from error

    def _local(self) -> bool:
        return bool(self.repo) and Path(self.repo or "").is_dir()

    def _code(self) -> str:
        folder = Path(self.repo or "")
        files = sorted(path.relative_to(folder) for path in folder.rglob("*.py"))
        return digest([[path.as_posix(), weights.file_digest(folder / path)] for path in files])


@dataclass(frozen=True)
class Pixels(Untrained):
    """Raw pixels as features, scaled to −1 … 1: the baseline without any pre-training.

    Attributes:
        input_size: resolution; None keeps the images' own, which must then agree.
    """

    id: str = "pixels"
    input_size: Count | None = None
    pretrained: bool = False
    label_space: str | None = None

    modality: ClassVar[str] = IMAGES

    def processor(self) -> Preprocessing:
        """Return the scaling."""
        return Preprocessing(mean=(0.5,), std=(0.5,), channels=None).at_size(self.input_size)

    def encode(self, network: "nn.Module", batch: Batch) -> "Tensor":
        """Return the pixels of each image in one row."""
        return encode_images(network, batch)

    def identity(self) -> dict[str, Any]:
        """Return what changes the features."""
        return {"architecture": "pixels", "preprocessing": self.processor().identity()}

    def known_width(self, samples: Any) -> int | None:
        """Return the number of pixels of an image, where none is resized."""
        return int(samples.read(np.array([0]))[0].size) if self.input_size is None else None

    def refusal(self, batch: Batch, error: Exception, failure: Failure) -> ScalingError:
        """Return the error for images that can't be taken."""
        return refused_images(self.id, batch, error)

    def build(self) -> Backbone:
        """Return a network that only flattens."""
        from torch import nn

        return Backbone(nn.Flatten(), None, 0)
