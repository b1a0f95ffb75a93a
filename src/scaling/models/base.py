"""What a model is: a network whose head is set apart, with weights known by content and a preprocessing.

Sources are hashable settings. They say who they are (`identity`) before anything heavy is imported, so that a
sweep can be planned in seconds; `build` makes the network.
"""

import itertools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from scaling.core.errors import ModelError, ScalingError, SettingError, reason_of
from scaling.core.reading import Checked, Count
from scaling.modalities.base import Batch, Processor, Samples
from scaling.modalities.images import Preprocessing
from scaling.modalities.images.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from scaling.modalities.images.samples import IMAGES
from scaling.models import weights
from scaling.models.heads import find_head, is_headless, replace_with_identity

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Sides in pixels of which networks take multiples, or that they are made for; asked when another was refused.
SIDES = (14, 16, 32, 64, 224)
#: How many of the sizes that work are told.
TOLD = 2
IMAGENET_PREPROCESSING = Preprocessing(resize=256, crop=224, mean=IMAGENET_MEAN, std=IMAGENET_STD)
#: `model.preprocessing=to_tensor`: scaled to 0 … 1 and nothing else, as torchvision's ToTensor.
TO_TENSOR = Preprocessing()


@dataclass(frozen=True)
class Backbone:
    """A network that puts out features, and the head that was cut off it.

    Attributes:
        network: what `encode` of its model turns prepared batches into features with.
        head: the final linear layer, features to outputs; None where the network has none.
        parameters: number of weights of network and head together.
    """

    network: "nn.Module"
    head: "nn.Linear | None"
    parameters: int


class ModelSource(Hashable, Protocol):
    """Settings of a model: hashable, able to say who it is and to build itself."""

    #: Whether features come with the data set, so that nothing is computed.
    given: ClassVar[bool]
    #: Whether there is a network that could be trained.
    trainable: ClassVar[bool]

    @property
    def modality(self) -> str:
        """What samples it takes."""
        ...

    @property
    def id(self) -> str:
        """The name shown to people."""
        ...

    @property
    def pretrained(self) -> bool:
        """Whether its weights were trained before."""
        ...

    @property
    def label_space(self) -> str | None:
        """What the head's outputs mean."""
        ...

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the head's outputs, in order, where they are known."""
        ...

    @property
    def comparable(self) -> bool:
        """Whether its features were trained so that those of samples that mean the same lie close together."""
        ...

    def processor(self) -> Processor:
        """Return what makes batches of samples for this model."""
        ...

    def encode(self, network: "nn.Module", batch: Batch) -> "Tensor":
        """Return the features (k, d) of a prepared batch, as float32."""
        ...

    def version(self) -> str | None:
        """Return a hash of the files that the settings name; a notebook may write them anew between two points."""
        ...

    def known_width(self, samples: Samples) -> int | None:
        """Return the number of features of a sample, where that is known without a network; else None."""
        ...

    def refusal(self, batch: Batch, error: Exception, failure: "Failure") -> ScalingError:
        """Return the error for samples that the network can't take, with what it can where that is known.

        Args:
            batch: such a sample, as the processor reads it.
            error: what the network raised.
            failure: says what a model raises on a batch of one sample, None where it takes it.
        """
        ...

    def identity(self) -> dict[str, Any]:
        """Return what changes the features: architecture, weights by content, preprocessing."""
        ...

    def build(self) -> Backbone:
        """Make the network and load its weights."""
        ...


#: What a model raises on a batch of one sample, None where it takes it.
Failure = Callable[[ModelSource, Batch], Exception | None]


def build(source: ModelSource) -> Backbone:
    """Build a model once a process, for as long as the sweep stays with it and its weights file is the same."""
    return _build(source, source.version())


@lru_cache(maxsize=1)
def _build(source: ModelSource, version: str | None) -> Backbone:
    return source.build()


class Untrained(Checked):
    """What models share that nobody trains: neither names of outputs nor files."""

    node: ClassVar[str] = "model"
    given: ClassVar[bool] = False
    trainable: ClassVar[bool] = False
    labels: ClassVar[tuple[str, ...] | None] = None
    comparable: ClassVar[bool] = False

    def version(self) -> None:
        """Return nothing: no file is named."""

    def known_width(self, samples: Samples) -> int | None:
        """Return nothing: features tell it."""
        return None


@lru_cache(maxsize=8)
def _state_digest(source: "NetworkSource", version: str | None) -> str:
    return weights.state_digest(source.network())


@dataclass(frozen=True)
class NetworkSource(Checked):
    """A network from a library; subclasses say which.

    Attributes:
        name: the library's name of the architecture.
        id: the name shown to people.
        pretrained: False for random weights drawn with `init_seed`, whatever `weights` says.
        weights: a local state dict instead of the library's weights: a path to .pt, .pth or .safetensors, or
            package:MODULE/GLOB for a file inside an installed package.
        weights_match: how the file's entries find the network's: by name, or by order and shape.
        weights_need: what to install where the package of `weights` is missing.
        tag: the library's name of the weights; None takes its default.
        preprocessing: None for the model's own, "to_tensor" to scale to 0 … 1 only.
        input_size: another resolution in pixels; None keeps the preprocessing's.
        num_classes: outputs of the head; None keeps the library's default.
        head: name of the layer that is the head; None finds the last linear layer.
    """

    name: str
    id: str
    pretrained: bool = True
    weights: str | None = None
    weights_match: Literal["names", "order"] = "names"
    weights_need: str | None = None
    tag: str | None = None
    preprocessing: Preprocessing | Literal["to_tensor"] | None = None
    input_size: Count | None = None
    num_classes: int | None = None
    label_space: str | None = None
    head: str | None = None
    init_seed: int = 0

    node: ClassVar[str] = "model"
    library: ClassVar[str] = ""
    modality: ClassVar[str] = IMAGES
    given: ClassVar[bool] = False
    trainable: ClassVar[bool] = True
    labels: ClassVar[tuple[str, ...] | None] = None
    comparable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name:
            raise SettingError(f"model={self.library} needs model.name=NAME, the library's name of a network.")

    def processor(self) -> Preprocessing:
        """Return the preprocessing with nothing left open."""
        if self.preprocessing == "to_tensor":
            return TO_TENSOR.at_size(self.input_size)
        assert not isinstance(self.preprocessing, str)
        return (self.preprocessing or self.native_preprocessing()).at_size(self.input_size)

    def identity(self) -> dict[str, Any]:
        """Return what changes the features: architecture, weights by content, preprocessing."""
        return {
            "architecture": f"{self.library}/{self.name}",
            "weights": self.weights_identity(),
            "preprocessing": self.processor().identity(),
            "head": self.head,
            "num_classes": self.num_classes,
        }

    def weights_identity(self) -> str:
        """Name the weights by content."""
        if not self.pretrained:
            return f"random:{self.init_seed}"
        if self.weights is not None:
            return f"sha256:{NetworkSource.version(self)}"
        return self.library_weights_identity()

    def library_weights_identity(self) -> str:
        """Name the library's own weights by content; here from the loaded network, where nothing lighter will do."""
        return f"state_dict:{_state_digest(self, self.version())}"

    def version(self) -> str | None:
        """Return a hash of the files that the settings name; None where they name none."""
        if not self.pretrained or self.weights is None:
            return None
        return weights.file_digest(weights.locate(self.weights, self.weights_need))

    def native_preprocessing(self) -> Preprocessing:
        """Return the preprocessing that belongs to the weights."""
        return IMAGENET_PREPROCESSING

    def encode(self, network: "nn.Module", batch: Batch) -> "Tensor":
        """Return the features (k, d) of normalised images (k, C, H, W), as float32."""
        return encode_images(network, batch)

    def known_width(self, samples: Samples) -> None:
        """Return nothing: the network tells it."""

    def refusal(self, batch: Batch, error: Exception, failure: Failure) -> ScalingError:
        """Return the error for images that the network can't take, with the sizes that work."""
        own = self.native_preprocessing().crop
        height, width = batch[IMAGES].shape[2:]
        if sizes := working_sizes(self, batch, own, failure):
            return ModelError(
                f"{self.id} takes no images of {width} × {height} px: {reason_of(error)}\n"
                f"Sizes that work: model.input_size={', '.join(map(str, sizes))} ({own} is its own)."
            )
        return refused_images(self.id, batch, error)

    def create(self, pretrained: bool) -> "nn.Module":
        """Make the network with the library's weights, or with random ones, for the preprocessing's resolution."""
        raise NotImplementedError

    def resized(self, state: "Mapping[str, Tensor]", network: "nn.Module") -> "Mapping[str, Tensor]":
        """Return a state dict with its positions interpolated to a network's; here as they are."""
        return state

    def network(self) -> "nn.Module":
        """Make the whole network, head included, in eval mode, with the weights that are asked for.

        Raises:
            ModelError: the library doesn't know the network, or the weights can't be had or don't fit.
        """
        import torch

        own = self.pretrained and self.weights is not None
        path = weights.locate(self.weights or "", self.weights_need) if own else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.init_seed)
            network = self.create(pretrained=self.pretrained and path is None)
        if path is not None:
            state, expected = weights.read(path), network.state_dict()
            resized = partial(self.resized, network=network)
            network.load_state_dict(weights.fit(state, expected, path, self.weights_match, resized))
        return network.eval()

    def build(self) -> Backbone:
        """Make the network and set its head apart."""
        network = self.network()
        if "aux_logits" in vars(network):  # Inception and GoogLeNet would put out several things in training
            vars(network)["aux_logits"] = False
        parameters = sum(parameter.numel() for parameter in network.parameters())
        if self.head is None and is_headless(network):
            return Backbone(network, None, parameters)
        name = self.head or find_head(network, self.num_classes)
        head = replace_with_identity(network, name, self.id)
        return Backbone(network, head, parameters)


def working_sizes(source: NetworkSource, batch: Batch, own: int | None, failure: Failure) -> list[int]:
    """Return the sizes nearest to the one refused that work, and the model's own; none where it isn't the size."""

    def works(side: int) -> bool:
        resized = {IMAGES: batch[IMAGES].new_zeros((1, batch[IMAGES].shape[1], side, side))}
        return failure(replace(source, input_size=side), resized) is None

    asked = max(batch[IMAGES].shape[2:])
    if own is None or not works(own):
        return []
    near = {side * count for side in SIDES for count in (asked // side, asked // side + 1) if count} - {asked, own}
    ordered = sorted(near, key=lambda side: (abs(side - asked), side))
    return sorted([*itertools.islice(filter(works, ordered), TOLD), own])


def refused(name: str, error: Exception) -> ScalingError:
    """Return the error for samples that a network can't take, where no more is known than what it raised."""
    if isinstance(error, ScalingError):
        return error
    return ModelError(f"{name} can't be run on such samples: {reason_of(error)}")


def refused_images(name: str, batch: Batch, error: Exception) -> ScalingError:
    """Return the error for images that a network can't take at any size."""
    if isinstance(error, ScalingError):
        return error
    channels, height, width = batch[IMAGES].shape[1:]
    return ModelError(
        f"{name} can't be run on images of {width} × {height} px with {channels} channels: {reason_of(error)}\n"
        "If its head is another layer than the last linear one, name it: model.head=NAME; timm makes a network without"
        " a head with model.num_classes=0."
    )


def encode_images(network: "nn.Module", batch: Batch) -> "Tensor":
    """Return the features (k, d) of normalised images (k, C, H, W), as float32."""
    import torch

    images = batch[IMAGES]
    dtype = next((parameter.dtype for parameter in network.parameters()), images.dtype)
    return network(images.to(dtype, memory_format=torch.channels_last)).flatten(1).float()
