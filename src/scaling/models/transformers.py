"""Encoders that Hugging Face's transformers loads, of texts and of images, from a folder or its hub."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from scaling.core.errors import ModelError, ScalingError, SettingError
from scaling.core.identity import digest
from scaling.modalities.base import Batch, Samples
from scaling.modalities.images import Preprocessing
from scaling.modalities.images.samples import IMAGES
from scaling.modalities.texts import TEXTS, Tokens
from scaling.models import weights
from scaling.models.base import Backbone, Failure, find_head, refused, replace_with_identity
from scaling.models.saved import CONFIG, TOKENIZER, Saved, content, from_hub

if TYPE_CHECKING:
    from torch import Tensor, nn

    from scaling.models.encoder import Pooling

#: Of config.json, what changes no feature.
VOLATILE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")
#: Architectures with a head over classes, and transformers' loader of each.
HEADS = {
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForImageClassification": "AutoModelForImageClassification",
}
#: Tokens that are read where nothing in the folder limits them.
UNLIMITED = 512
EXTRA = "'scaling-curves[text]'"


@dataclass(frozen=True)
class TransformersModel:
    """An encoder in the files of transformers.

    Attributes:
        name: a folder, package:MODULE/FOLDER inside an installed package, or an ID on the Hugging Face hub.
        id: the name shown to people.
        need: what to install where the package of `name` is missing.
        revision: branch, tag or commit on the hub; None takes its main one.
        pretrained: False for random weights drawn with `init_seed`.
        pooling: "mean" of the last layer over a text's tokens, "cls" its first one, or the model's "own": what
            enters its classification head; else what its folder says to sentence-transformers; else its pooler's
            output; else the mean.
        max_length: tokens of a text that are read; None for as many as the model is meant to.
        input_size: resolution of images; None keeps the folder's.
        trust_remote_code: run Python code that comes with the model. It can do anything that you can.
        label_space: what the outputs of its head mean, where its config doesn't name them as the data set does.
    """

    name: str
    id: str
    need: str | None = None
    revision: str | None = None
    pretrained: bool = True
    pooling: Literal["own", "mean", "cls"] = "own"
    max_length: int | None = None
    input_size: int | None = None
    trust_remote_code: bool = False
    label_space: str | None = None
    init_seed: int = 0

    given: ClassVar[bool] = False
    trainable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            raise SettingError("model=transformers needs model.name=FOLDER, or an ID on the Hugging Face hub.")
        for name in ("max_length", "input_size"):
            value: Any = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise SettingError(f"model.{name}={value}: expected a whole number from 1 up, or null.")

    @property
    def saved(self) -> Saved:
        """Its files.

        Raises:
            ModelError: transformers is missing, or there is no such folder, neither here nor on the hub.
        """
        if importlib.util.find_spec("transformers") is None:
            raise ModelError(f"{self.id} needs the Python package transformers.\nInstall it: pip install {EXTRA}")
        return Saved(weights.locate_folder(self.name, self.need) or from_hub(self.name, self.revision))

    @property
    def modality(self) -> str:
        """What it reads, as the files beside the network say."""
        return self.saved.modality

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of what its head puts out; None where it has none, or they say nothing."""
        saved = self.saved
        return saved.labels if self._head(saved) else None

    @property
    def comparable(self) -> bool:
        """Whether it was trained to put texts near each other that mean the same."""
        saved = self.saved
        return self.pretrained and saved.modality == TEXTS and bool(saved.modules) and self._head(saved) is None

    def processor(self) -> Tokens | Preprocessing:
        """Return what makes batches: its tokenizer, or its image processor as a preprocessing of ours.

        Raises:
            SettingError: more tokens are asked for than the network has places for.
        """
        saved = self.saved
        if saved.modality == IMAGES:
            return saved.preprocessing().at_size(self.input_size)
        most, places = self.max_length or saved.longest or UNLIMITED, saved.positions
        if places is not None and most > places:
            raise SettingError(f"model.max_length={most}: {self.id} reads at most {places} tokens.")
        files = saved.files((*TOKENIZER, *self._code()))
        return Tokens(self.id, str(saved.folder), content(files), most, self.trust_remote_code)

    def identity(self) -> dict[str, Any]:
        """Return what changes the features: config, weights by content, processor, pooling."""
        saved = self.saved
        return {
            "architecture": f"transformers/{saved.config['model_type']}",
            "config": digest({key: value for key, value in saved.config.items() if key not in VOLATILE}),
            "weights": f"sha256:{content(saved.weights())}" if self.pretrained else f"random:{self.init_seed}",
            "preprocessing": self.processor().identity(),
            "pooling": self._pooling(saved),
            "normalised": saved.normalised,
            **({"code": content(saved.files(self._code()))} if self.trust_remote_code else {}),
        }

    def version(self) -> str:
        """Return a hash of all files that are read."""
        saved = self.saved
        files = saved.files(("*.json", "*/config.json", *TOKENIZER, *self._code()))
        return content([*files, *(saved.weights() if self.pretrained else [])])

    def known_width(self, samples: Samples) -> None:
        """Return nothing: the network tells it."""

    def refusal(self, batch: Batch, error: Exception, failure: Failure) -> ScalingError:
        """Return the error for samples that can't be taken."""
        return refused(self.id, error)

    def encode(self, network: "nn.Module", batch: Batch) -> "Tensor":
        """Return the features (k, d) of a prepared batch, as float32."""
        if IMAGES in batch:
            return network({"pixel_values": batch[IMAGES].to(next(network.parameters()).dtype)})
        if batch["attention_mask"].is_meta:  # where it can't be looked into; of the one text there, it is all ones
            batch = {name: values for name, values in batch.items() if name != "attention_mask"}
        return network(batch)

    def build(self) -> Backbone:
        """Make the network, load its weights, and set its head apart.

        Raises:
            ModelError: transformers can't make the network, or the weights don't fit, or hold code.
        """
        import torch

        from scaling.models.encoder import Encoder

        saved = self.saved
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(self.init_seed)
            network = self._network(saved)
        pooling, head = self._pooling(saved), None
        if pooling == "head":
            head = replace_with_identity(network, find_head(network, network.config.num_labels), self.id)
        elif pooling != "own":
            without_pooler(network)
        encoder = Encoder(network, pooling, saved.normalised and head is None).eval()
        every = [*encoder.parameters(), *(head.parameters() if head else [])]
        return Backbone(encoder, head, sum(parameter.numel() for parameter in every))

    def _network(self, saved: Saved) -> Any:
        """Return the network: whole where its head is wanted, else without a decoder, or a pooler without weights."""
        import torch
        import transformers

        loader = getattr(transformers, self._head(saved) or "AutoModel")
        settings: dict[str, Any] = {"trust_remote_code": self.trust_remote_code, "dtype": torch.float32}
        try:
            if not self.pretrained:
                config = transformers.AutoConfig.from_pretrained(
                    saved.folder, local_files_only=True, trust_remote_code=self.trust_remote_code
                )
                network, lacking = loader.from_config(config, **settings), set()
            else:
                network, found = loader.from_pretrained(
                    saved.folder, local_files_only=True, weights_only=True, output_loading_info=True, **settings
                )
                lacking = set(found["missing_keys"])
        except Exception as error:  # the library and the readers of weights have many
            raise self._failed(saved, error) from error
        if self._head(saved) is None:
            if hasattr(network, "encoder") and hasattr(network, "decoder"):
                network = network.get_encoder()
            if any(name.startswith("pooler.") for name in lacking):
                without_pooler(network)
            lacking = {name for name in lacking if not name.startswith(("decoder.", "pooler."))}
        if lacking:
            raise ModelError(
                f"The weights in {saved.folder} lack {len(lacking)} entries of the network, e.g. {min(lacking)}.\n"
                f"They are of another network than {CONFIG} says, or were not saved whole."
            )
        return network

    def _failed(self, saved: Saved, error: Exception) -> ModelError:
        """Say in our words why a network can't be loaded."""
        reason, where = str(error).strip(), f"{saved.folder}: its {saved.config['model_type']}"
        if "trust_remote_code" in reason:
            return ModelError(
                f"{where} needs Python code that comes with it, and such code can do anything that you can.\n"
                "Where you have read it and trust it: model.trust_remote_code=true"
            )
        return ModelError(f"{where} can't be loaded: {type(error).__name__} {(reason.splitlines() or [''])[0][:160]}")

    def _head(self, saved: Saved) -> str | None:
        """Return transformers' loader of the network with its own head over classes, where that is wanted."""
        name = str((saved.config.get("architectures") or [""])[0])
        own = [loader for ending, loader in HEADS.items() if name.endswith(ending)]
        return own[0] if own and self.pooling == "own" else None

    def _pooling(self, saved: Saved) -> "Pooling":
        """Return what is pooled; "own" where the weights decide: what their pooler puts out, where they have one."""
        if self._head(saved):
            return "head"
        return saved.pooling if self.pooling == "own" and saved.modules else self.pooling

    def _code(self) -> tuple[str, ...]:
        return ("*.py",) if self.trust_remote_code else ()


def without_pooler(network: Any) -> None:
    """Take the pooler off where nothing is read of what it puts out: its weights are none to be trained."""
    pooler = getattr(network, "pooler", None)
    if pooler is not None and list(pooler.parameters()):
        network.pooler = None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars, and from advice to those who call it."""
    from transformers.utils import logging

    level, drawn = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if drawn:
            logging.enable_progress_bar()
