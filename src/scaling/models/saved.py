"""What lies in a folder that transformers wrote, read from its JSON files: a sweep is planned without the library."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from scaling.core.errors import ModelError
from scaling.core.identity import digest
from scaling.modalities.images import Preprocessing
from scaling.modalities.images.samples import IMAGES
from scaling.modalities.texts import TEXTS
from scaling.models import weights

#: Files of tokenizers, one of which a folder for texts has.
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json",
    "added_tokens.json", "*.model",
)  # fmt: skip
#: Files of weights, as transformers prefers them.
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
#: Poolings of sentence-transformers that are known here.
Modes = Literal["mean", "cls", "max"]
#: What of a model on the hub is fetched besides its weights.
FETCHED = ("*.json", "*.txt", "*.model", "*.py")
CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
#: Models whose positions begin after the number of the padding token.
SHIFTED = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text", "esm")
#: Image processors by whose size, where it is one number, the shorter side is meant; the others squeeze.
KEEP_ASPECT = ("Bit", "CLIP", "ChineseCLIP", "ConvNext", "Levit", "MobileNet", "MobileViT", "PoolFormer", "TextNet")
#: Pillow's numbers of ways to resize.
RESAMPLING: dict[Any, Literal["nearest", "bilinear", "bicubic"]] = {0: "nearest", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Saved:
    """A folder with a network, and what makes its batches beside it."""

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """What is said of the network."""
        found = self.json(CONFIG)
        if not isinstance(found.get("model_type"), str):
            raise ModelError(
                f"{self.folder}: {CONFIG} is missing or names no model_type, so what the network is isn't known.\n"
                "Give model.name= a folder that save_pretrained wrote, with the tokenizer or image processor beside it."
            )
        return found

    @cached_property
    def modality(self) -> str:
        """What it reads, as the files beside the network say.

        Raises:
            ModelError: neither texts nor images, or both.
        """
        kind, tokens, processor = self.config["model_type"], bool(self.files(TOKENIZER)), self.json(PROCESSOR)
        images = bool(processor) and "sampling_rate" not in processor
        if tokens != images:
            return TEXTS if tokens else IMAGES
        if tokens:
            raise ModelError(f"{self.folder}: {kind} reads texts and images at once; expected an encoder of one.")
        if processor:
            raise ModelError(f"{self.folder}: {kind} reads sound; expected an encoder of texts or of images.")
        wanted = f"image processor ({PROCESSOR})" if "image_size" in self.config else f"tokenizer ({TOKENIZER[0]})"
        raise ModelError(
            f"{self.folder}: the {wanted} of {kind} is missing; without it the network can't read anything.\n"
            "Save it there too: AutoTokenizer or AutoImageProcessor.from_pretrained(ORIGIN).save_pretrained(FOLDER)"
        )

    @cached_property
    def modules(self) -> list[dict[str, Any]]:
        """What sentence-transformers runs, in order; empty where the folder isn't one of its."""
        found = self.json("modules.json")
        return found if isinstance(found, list) else []

    @property
    def normalised(self) -> bool:
        """Whether sentence-transformers normalises the features."""
        return any(str(module["type"]).endswith("Normalize") for module in self.modules)

    @property
    def pooling(self) -> Modes:
        """How sentence-transformers pools.

        Raises:
            ModelError: in another way, or it runs more than that.
        """
        kinds = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in self.modules}
        told = self.json(f"{kinds['Pooling']}/{CONFIG}") if "Pooling" in kinds else {}
        modes = [key for key, value in told.items() if key.startswith("pooling_mode_") and value is True]
        modes = [key.removeprefix("pooling_mode_").split("_")[0] for key in modes] or [str(told.get("pooling_mode"))]
        for mode in get_args(Modes):
            if set(kinds) <= {"Transformer", "Pooling", "Normalize"} and modes == [mode]:
                return mode
        raise ModelError(
            f"{self.folder}: sentence-transformers runs {', '.join(kinds)} here, pooling by {' and '.join(modes)}.\n"
            "Expected mean, cls or max, and no more than Normalize after it. Take model.pooling=mean or cls,"
            " without the others."
        )

    @property
    def positions(self) -> int | None:
        """How many tokens the network has places for; None where it has no end."""
        found = self.config.get("max_position_embeddings", self.config.get("n_positions"))
        if not isinstance(found, int) or found < 1:
            return None
        return found - (1 + int(self.config.get("pad_token_id") or 0)) * (self.config["model_type"] in SHIFTED)

    @property
    def longest(self) -> int | None:
        """How many tokens of a text it is meant to read; None where nothing says it."""
        told = (
            self.json("tokenizer_config.json").get("model_max_length"),
            self.json("sentence_bert_config.json").get("max_seq_length"),
            self.positions,
        )
        # A tokenizer without a limit says 1e30.
        return min((int(limit) for limit in told if isinstance(limit, int | float) and 0 < limit < 1e9), default=None)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of what its head puts out; None where they say nothing."""
        named = self.config.get("id2label") or {}
        labels = tuple(str(named[key]) for key in sorted(named, key=int))
        return labels if any(label != f"LABEL_{place}" for place, label in enumerate(labels)) else None

    def preprocessing(self) -> Preprocessing:
        """Return the image processor as a preprocessing of ours.

        Raises:
            ModelError: it does something else to pictures.
        """
        told = self.json(PROCESSOR)
        size, crop = _side(told.get("size")), _side(told.get("crop_size"))
        kind = str(told.get("image_processor_type", told.get("feature_extractor_type", "")))
        resizes, crops = told.get("do_resize", True), told.get("do_center_crop", crop is not None)
        if "crop_pct" in told and size is not None and size < 384:  # ConvNeXt's
            crop, crops, size = size, True, int(size / told["crop_pct"])
        resample, unknown = told.get("resample", 2), abs(told.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-3
        if unknown or (resizes and size is None) or (crops and crop is None) or resample not in RESAMPLING:
            raise ModelError(
                f"{self.folder}: its image processor does more or other than what is known here.\n"
                f"Expected in {PROCESSOR}: resized to one side, its centre cropped, divided by 255, normalised."
            )
        normal = told.get("do_normalize", True)
        return Preprocessing(
            resize=size if resizes else None,
            crop=crop if crops else size if resizes else None,
            interpolation=RESAMPLING[resample],
            mean=tuple(told["image_mean"]) if normal else (0.0,),
            std=tuple(told["image_std"]) if normal else (1.0,),
            squeeze=resizes
            and ("height" in told["size"] if isinstance(told["size"], dict) else not kind.startswith(KEEP_ASPECT)),
        )

    def weights(self) -> list[Path]:
        """Return the files of weights that transformers takes: safetensors, else torch's.

        Raises:
            ModelError: there are none, or torch's hold code.
        """
        for pattern in WEIGHTS:
            if found := self.files((pattern,)):
                for path in found:
                    weights.check(path)
                return found
        raise ModelError(
            f"{self.folder} holds no weights: expected {' or '.join(WEIGHTS)}.\n"
            "Save them there with save_pretrained, or take random ones: model.pretrained=false"
        )

    def files(self, patterns: Sequence[str]) -> list[Path]:
        """Return the files of such names, sorted."""
        return sorted({path for pattern in patterns for path in self.folder.glob(pattern) if path.is_file()})

    def json(self, name: str) -> Any:
        """Return what a JSON file says; nothing where it is missing."""
        path = self.folder / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} can't be read as JSON: {error}") from error


def content(files: Sequence[Path]) -> str:
    """Return a hash of files by name and content."""
    return digest([[path.name, weights.file_digest(path)] for path in files])


def from_hub(name: str, revision: str | None) -> Path:
    """Return the local copy of a model on the Hugging Face hub, fetched where it isn't there yet.

    Raises:
        ModelError: it is neither there nor can it be fetched.
    """
    from huggingface_hub import snapshot_download

    reason = ""
    for online in (False, True):
        for pattern in WEIGHTS:
            try:
                patterns = [*FETCHED, "*/config.json", pattern]
                found = snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=not online)
            except Exception as error:  # its client has many for "not reachable", and for names that are none
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
                break
            if any(Path(found).glob(pattern)):
                return Path(found)
            reason = f"it holds no {' or '.join(WEIGHTS)}"
    raise ModelError(
        f"model.name={name} is no folder here, and the Hugging Face hub does not give it: {reason}\n"
        "Give model.name=FOLDER; or fetch it where there is a network (hf download NAME) into the folder HF_HOME.\n"
        "HF_HUB_OFFLINE=1 forbids asking the hub."
    )


def _side(size: Any) -> int | None:
    """Return the one length that a size names; None where it names none, or two."""
    if not isinstance(size, dict):
        return size if isinstance(size, int) else None
    known = set(size) in ({"height", "width"}, {"shortest_edge"})
    return next(iter(size.values())) if known and len(set(size.values())) == 1 else None
