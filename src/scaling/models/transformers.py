"""Encoders that Hugging Face's transformers loads, of texts and of images, from a folder or the hub.

What a folder holds is read from its JSON files, so that a sweep is planned before transformers is imported.
"""

import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from scaling.core.errors import ModelError, SettingError
from scaling.core.identity import digest
from scaling.data.preprocessing import IMAGES, Preprocessing
from scaling.modalities.base import Batch
from scaling.modalities.texts import TEXTS, Tokens
from scaling.models import weights
from scaling.models.base import Backbone, find_head, replace_with_identity

if TYPE_CHECKING:
    from torch import Tensor, nn

    from scaling.models.encoder import Pooling

#: Files of tokenizers, one of which a folder for texts has.
TOKENIZERS = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json",
    "added_tokens.json", "*.model",
)  # fmt: skip
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
#: What of a folder on the hub is fetched; of the kinds of weights the first that is there.
FETCHED = ("*.json", "*.txt", "*.model", "*.py")
CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
#: Of config.json, what changes no feature.
VOLATILE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")
#: Architectures with a head over classes, and transformers' loader of each.
HEADS = {
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForImageClassification": "AutoModelForImageClassification",
}
#: Models whose positions begin after the number of the padding token.
SHIFTED = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text", "esm")
#: Tokens that are read where nothing in the folder limits them.
UNLIMITED = 512
#: Pillow's numbers of ways to resize.
RESAMPLING: dict[int, Literal["nearest", "bilinear", "bicubic"]] = {0: "nearest", 2: "bilinear", 3: "bicubic"}
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
        max_length: tokens of a text that are read; None for as many as the model can.
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

    trainable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            raise SettingError("model=transformers needs model.name=FOLDER, or an ID on the Hugging Face hub.")
        for name in ("max_length", "input_size"):
            value: Any = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise SettingError(f"model.{name}={value}: expected a whole number from 1 up, or null.")

    @property
    def folder(self) -> Path:
        """Where the files lie.

        Raises:
            ModelError: transformers is missing, or there is no such folder, neither here nor on the hub.
        """
        if importlib.util.find_spec("transformers") is None:
            raise ModelError(f"{self.id} needs the Python package transformers.\nInstall it: pip install {EXTRA}")
        return weights.locate_folder(self.name, self.need) or from_hub(self.name, self.revision)

    @property
    def config(self) -> dict[str, Any]:
        """What config.json says of the network."""
        found = self._json(CONFIG)
        if not isinstance(found.get("model_type"), str):
            raise ModelError(
                f"{self.folder}: {CONFIG} is missing or names no model_type, so what the network is isn't known.\n"
                "Give model.name= a folder that save_pretrained wrote, with the tokenizer or image processor beside it."
            )
        return found

    @property
    def modality(self) -> str:
        """What it reads, as the files beside the network say.

        Raises:
            ModelError: neither texts nor images, or both.
        """
        folder, kind = self.folder, self.config["model_type"]
        tokens, processor = bool(self._files(TOKENIZERS)), self._json(PROCESSOR)
        images = bool(processor) and "sampling_rate" not in processor
        if tokens != images:
            return TEXTS if tokens else IMAGES
        if tokens:
            raise ModelError(f"{folder}: {kind} reads texts and images at once; expected an encoder of one of them.")
        if processor:
            raise ModelError(f"{folder}: {kind} reads sound; expected an encoder of texts or images.")
        wanted = f"image processor ({PROCESSOR})" if "image_size" in self.config else f"tokenizer ({TOKENIZERS[0]})"
        raise ModelError(
            f"{folder}: the {wanted} of {kind} is missing; a network without it can't read anything.\n"
            "Save it there too: AutoTokenizer or AutoImageProcessor.from_pretrained(ORIGIN).save_pretrained(FOLDER)."
        )

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of what its head puts out; None where it has none, or they say nothing."""
        named = self.config.get("id2label")
        if self._head() is None or not isinstance(named, dict):
            return None
        labels = tuple(str(named[key]) for key in sorted(named, key=int))
        return None if all(label == f"LABEL_{place}" for place, label in enumerate(labels)) else labels

    @property
    def comparable(self) -> bool:
        """Whether it was trained to put texts near each other that mean the same."""
        return self.pretrained and self.modality == TEXTS and bool(self._modules())

    def processor(self) -> Tokens | Preprocessing:
        """Return what makes batches: its tokenizer, or its image processor as a preprocessing of ours."""
        if self.modality == IMAGES:
            return preprocessing(self._json(PROCESSOR), str(self.folder)).at_size(self.input_size)
        files = self._files((*TOKENIZERS, *self._code()))
        return Tokens(self.id, str(self.folder), _digest(files), self._tokens(), self.trust_remote_code)

    def identity(self) -> dict[str, Any]:
        """Return what changes the features: config, weights by content, processor, pooling."""
        described = {key: value for key, value in self.config.items() if key not in VOLATILE}
        known = f"sha256:{_digest(self._weights())}" if self.pretrained else f"random:{self.init_seed}"
        return {
            "architecture": f"transformers/{self.config['model_type']}",
            "config": digest(described),
            "weights": known,
            "preprocessing": self.processor().identity(),
            "pooling": self._pooling(),
            "normalised": self._normalised(),
            **({"code": _digest(self._files(self._code()))} if self.trust_remote_code else {}),
        }

    def version(self) -> str:
        """Return a hash of all files that are read."""
        files = self._files(("*.json", *TOKENIZERS, *self._code()))
        return _digest([*files, *(self._weights() if self.pretrained else [])])

    def encode(self, network: "nn.Module", batch: Batch) -> "Tensor":
        """Return the features (k, d) of a prepared batch, as float32."""
        if IMAGES in batch:
            dtype = next(network.parameters()).dtype
            return network({"pixel_values": batch[IMAGES].to(dtype)})
        return network(batch)

    def build(self) -> Backbone:
        """Make the network, load its weights, and set its head apart.

        Raises:
            ModelError: transformers can't make the network, or the weights don't fit, or hold code.
        """
        import torch

        from scaling.models.encoder import Encoder

        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(self.init_seed)
            network, missing = self._network()
        if network.config.is_encoder_decoder and self._head() is None:
            network = network.get_encoder()
        pooling, head = self._pooling(), None
        if pooling == "head":
            parameters = sum(parameter.numel() for parameter in network.parameters())
            head = replace_with_identity(network, find_head(network, network.config.num_labels), self.id)
            return Backbone(Encoder(network.eval(), pooling, False), head, parameters)
        pooler = getattr(network, "pooler", None)  # its weights, where nothing is to be read of it, are no part
        if pooling == "own":
            pooling = "mean" if pooler is None or missing else "pooler"
        if pooling != "pooler" and pooler is not None and list(pooler.parameters()):
            network.pooler = None
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return Backbone(Encoder(network.eval(), pooling, self._normalised()), None, parameters)

    def _network(self) -> "tuple[Any, set[str]]":
        """Return the whole network, and which entries of its pooler the weights lack."""
        import torch
        import transformers

        loader = getattr(transformers, self._head() or "AutoModel")
        settings: dict[str, Any] = {"trust_remote_code": self.trust_remote_code, "dtype": torch.float32}
        try:
            if not self.pretrained:
                config = transformers.AutoConfig.from_pretrained(
                    self.folder, local_files_only=True, trust_remote_code=self.trust_remote_code
                )
                return loader.from_config(config, **settings), set()
            network, found = loader.from_pretrained(
                self.folder, local_files_only=True, weights_only=True, output_loading_info=True, **settings
            )
        except Exception as error:  # the library and the readers of weights have many
            raise self._failed(error) from error
        missing = {name for name in found["missing_keys"] if not name.startswith("pooler.")}
        if missing:
            raise ModelError(
                f"The weights in {self.folder} lack {len(missing)} entries of the network, e.g. {min(missing)}.\n"
                f"They are of another network than {CONFIG} says, or were not saved whole."
            )
        return network, set(found["missing_keys"])

    def _failed(self, error: Exception) -> ModelError:
        """Say in our words why a network can't be loaded."""
        reason, where = str(error).strip(), f"{self.folder}: its {self.config['model_type']}"
        if "weights_only" in reason or "Unsupported" in reason or type(error).__name__ == "UnpicklingError":
            return weights.refused(self._weights()[0])
        if "trust_remote_code" in reason:
            return ModelError(
                f"{where} needs Python code that comes with it, and such code can do anything that you can.\n"
                "Where you have read it and trust it: model.trust_remote_code=true"
            )
        return ModelError(f"{where} can't be loaded: {type(error).__name__} {(reason.splitlines() or [''])[0][:160]}")

    def _head(self) -> str | None:
        """Return transformers' loader of the network with its own head over classes, where it is wanted."""
        name = str((self.config.get("architectures") or [""])[0])
        own = [loader for ending, loader in HEADS.items() if name.endswith(ending)]
        return own[0] if own and self.pooling == "own" else None

    def _pooling(self) -> "Pooling | Literal['own']":
        """Return what is pooled; `own` where the weights decide: the pooler's output where they hold one."""
        if self.pooling != "own" or not (modules := self._modules()):
            return "head" if self._head() else self.pooling
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
        where = next((str(module["path"]) for module, kind in zip(modules, kinds, strict=True) if kind == "Pooling"), "")
        told = self._json(f"{where}/{CONFIG}") if where else {}
        modes = [key for key, value in told.items() if key.startswith("pooling_mode_") and value is True]
        modes = [key.removeprefix("pooling_mode_").split("_")[0] for key in modes] or [told.get("pooling_mode")]
        if set(kinds) <= {"Transformer", "Pooling", "Normalize"} and modes in (["mean"], ["cls"]):
            return modes[0]
        shown = ", ".join([kind for kind in kinds if kind != "Pooling"] + [f"Pooling by {modes[0] or 'nothing known'}"])
        raise ModelError(
            f"{self.folder}: sentence-transformers would run {shown} here; expected Transformer, Pooling by mean or"
            " cls, and Normalize.\nTake model.pooling=mean or model.pooling=cls, without the others."
        )

    def _normalised(self) -> bool:
        """Say whether sentence-transformers would normalise the features."""
        return any(str(module["type"]).endswith("Normalize") for module in self._modules())

    def _modules(self) -> Sequence[dict[str, Any]]:
        """Return what sentence-transformers runs of this folder, in order."""
        found = self._json("modules.json")
        return found if isinstance(found, list) else []

    def _tokens(self) -> int:
        """Return how many tokens of a text are read.

        Raises:
            SettingError: more are asked for than the network has positions.
        """
        config = self.config
        told = [self._json(name).get(key) for name, key in (
            ("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length"),
        )]  # fmt: skip
        places = config.get("max_position_embeddings", config.get("n_positions"))
        if isinstance(places, int) and config["model_type"] in SHIFTED:
            places -= 1 + int(config.get("pad_token_id", 1))
        if self.max_length is None:
            limits = [int(limit) for limit in (*told, places) if isinstance(limit, int | float) and 0 < limit < 1e9]
            return min(limits, default=UNLIMITED)
        if isinstance(places, int) and 0 < places < self.max_length:
            raise SettingError(f"model.max_length={self.max_length}: {self.id} reads at most {places} tokens.")
        return self.max_length

    def _weights(self) -> list[Path]:
        """Return the files of weights that transformers would take: safetensors, else torch's."""
        for pattern in WEIGHTS:
            if found := self._files((pattern,)):
                return found
        raise ModelError(
            f"{self.folder} holds no weights: expected {' or '.join(WEIGHTS)}.\n"
            "Save them there with save_pretrained, or take random ones: model.pretrained=false"
        )

    def _code(self) -> tuple[str, ...]:
        return ("*.py",) if self.trust_remote_code else ()

    def _files(self, patterns: Sequence[str]) -> list[Path]:
        folder = self.folder
        return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})

    def _json(self, name: str) -> Any:
        """Return what a JSON file of the folder says; nothing where it is missing."""
        path = self.folder / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} can't be read as JSON: {error}") from error


def from_hub(name: str, revision: str | None) -> Path:
    """Return the local copy of a model on the Hugging Face hub, fetched where it isn't there yet.

    Raises:
        ModelError: it is neither there nor can it be fetched.
    """
    from huggingface_hub import snapshot_download

    for online in (False, True):
        for pattern in WEIGHTS:
            try:
                where = {"revision": revision, "local_files_only": not online, "allow_patterns": [*FETCHED, pattern]}
                folder = Path(snapshot_download(name, **where))  # type: ignore[arg-type]
            except Exception as error:  # its client has many for "not reachable", and for names that are none
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
                break
            if any(folder.glob(pattern)):
                return folder
            reason = "it has no weights in safetensors or PyTorch's form"
    raise ModelError(
        f"model.name={name} is no folder here, and the Hugging Face hub does not give it: {reason}\n"
        "Give model.name=FOLDER, or fetch it where there is a network with: hf download NAME\n"
        "HF_HOME names the folder of what was fetched; HF_HUB_OFFLINE=1 forbids to ask the hub."
    )


def preprocessing(told: dict[str, Any], where: str) -> Preprocessing:
    """Return an image processor of transformers as a preprocessing of ours.

    Pictures that aren't square are cropped where the processor would squeeze them.

    Raises:
        ModelError: it does something else to pictures.
    """
    size, crop = _side(told.get("size")), _side(told.get("crop_size"))
    resizes, crops = told.get("do_resize", True), told.get("do_center_crop", "crop_size" in told)
    if "crop_pct" in told and size is not None and size < 384:  # ConvNeXt's
        crop, crops, size = size, True, int(size / told["crop_pct"])
    scale, resample = told.get("rescale_factor", 1 / 255), told.get("resample", 2)
    if (resizes and size is None) or (crops and crop is None) or resample not in RESAMPLING or abs(scale * 255 - 1) > 1e-3:
        raise ModelError(
            f"{where}: the image processor {told.get('image_processor_type', '')} does what scaling doesn't know.\n"
            "Expected one that resizes to a side, crops the centre, divides by 255 and normalises."
        )
    normal = told.get("do_normalize", True)
    return Preprocessing(
        resize=size if resizes else None,
        crop=crop if crops else size if resizes else None,
        interpolation=RESAMPLING[resample],
        mean=tuple(told["image_mean"]) if normal else (0.0,),
        std=tuple(told["image_std"]) if normal else (1.0,),
    )


def _side(size: Any) -> int | None:
    """Return the one length that a size names; None where it names none, or two."""
    lengths = {size} if isinstance(size, int) else set(size.values()) if isinstance(size, dict) else set()
    known = isinstance(size, int) or set(size or ()) in ({"height", "width"}, {"shortest_edge"})
    return lengths.pop() if known and len(lengths) == 1 else None


def _digest(files: Sequence[Path]) -> str:
    return digest([[path.name, weights.file_digest(path)] for path in files])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and from advice to its own users."""
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
