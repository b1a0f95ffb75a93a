"""Encoders of a few thousand weights in the files of transformers, and a small data set of texts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.config import compose, plain
from scaling.datasets.base import Dataset, Split
from scaling.modalities.texts import Texts
from scaling.models.transformers import quiet
from scaling.runs.spec import RunSpec

GOOD = ("good", "great", "fine", "lovely", "happy")
BAD = ("bad", "awful", "poor", "sad", "angry")
OTHER = ("the", "a", "film", "meal", "was", "is", "really", "today", "and", "very")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *GOOD, *BAD, *OTHER)
#: Positions that the small networks have, and so the most tokens that they read.
POSITIONS = 24


def sentences(count: int, seed: int = 0, longest: int = 18) -> tuple[tuple[str, ...], np.ndarray]:
    """Draw texts of 2 to `longest` words with one that tells their label."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 2)
    texts = []
    for label in labels:
        words = list(rng.choice(OTHER, rng.integers(1, longest)))
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice((BAD, GOOD)[label])))
        texts.append(" ".join(words))
    return tuple(texts), labels.astype(np.int64)


def dataset(train: int = 60, test: int = 40, names: tuple[str, ...] = ("bad", "good"), **settings: Any) -> Dataset:
    """Return a data set of such texts."""
    splits = [Split(Texts(texts), labels) for texts, labels in (sentences(train, 1), sentences(test, 2))]
    return Dataset("remarks", names, *splits, None, "made up", **settings)


@dataclass(frozen=True)
class Remarks:
    """The same as a source that configs can name."""

    name: str = "remarks"

    def load(self) -> Dataset:
        return dataset()


def settings(*overrides: str) -> RunSpec:
    """Return the settings of a grid point on it."""
    found = plain(compose(["trainer=cpu", "n=40", *overrides]))
    return RunSpec.read({**found, "dataset": {"_target_": "tests.encoders.Remarks", "augment": []}})


def tokenizer(folder: Path, **told: Any) -> None:
    """Save a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    found = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))]
    )
    found.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]", **told}
    write(folder / "tokenizer_config.json", settings)


def write(path: Path, described: Any) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(described), encoding="utf-8")


def network(kind: str, **told: Any) -> Any:
    """Make a small network of a class of transformers, its weights a function of nothing else."""
    import torch
    import transformers

    made = getattr(transformers, kind)
    sizes = {"vocab_size": len(WORDS), "max_position_embeddings": POSITIONS, "pad_token_id": 0}
    small = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32,
    }  # fmt: skip
    known = {key: value for key, value in small.items() if hasattr(made.config_class(), key)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return made(made.config_class(**({} if "image_size" in told else sizes), **known, **told)).eval()


def encoder(folder: Path, kind: str = "BertModel", sentences: bool = False, **told: Any) -> Path:
    """Save a small network with its tokenizer, or with an image processor where `image_size` is told.

    Args:
        sentences: add what sentence-transformers writes: mean pooling, normalised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        network(kind, **told).save_pretrained(folder)
    if "image_size" in told:
        side = told["image_size"]
        write(folder / "preprocessor_config.json", {
            "image_processor_type": "ViTImageProcessor", "size": {"height": side, "width": side}, "resample": 3,
            "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4],
        })  # fmt: skip
    else:
        tokenizer(folder)
    if sentences:
        kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
        write(folder / "modules.json", [
            {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for place, (kind, path) in enumerate(kinds.items())
        ])  # fmt: skip
        write(folder / "1_Pooling" / "config.json", {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
    return folder
