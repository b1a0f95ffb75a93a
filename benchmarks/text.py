"""Texts through MiniLM, frozen and fine-tuned, against hand-written loops: `python -m benchmarks.text`.

All sides alternate in one process, on the same texts, at the same precision and with the same threads. Tokenising is
part of each. `sentence_transformers` runs where it is installed.
"""

import argparse
import copy
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.timing import PRECISION, REPEATS, row, spread, timed
from scaling import machine
from scaling.config import build as configured
from scaling.config import compose, plain
from scaling.core.reporter import SilentReporter
from scaling.datasets.base import Dataset, Split
from scaling.features import FeatureStore
from scaling.features.forward import forward_pass
from scaling.modalities import texts as modality
from scaling.modalities.texts import Texts
from scaling.models import TransformersModel, build
from scaling.training import Recipe, TrainingSettings, Work
from scaling.training.batches import Share
from scaling.training.budget import batch_positions, rate_factor
from scaling.training.fit import Run

TRAINER = {"accelerator": "cpu", "devices": 1}
SIZES = (16, 32, 64, 128)
CLASSES = 4


def made_up(count: int, seed: int = 0) -> Texts:
    """Return texts of everyday words, of 40 on the median; one in fifty is longer than MiniLM reads."""
    rng = np.random.default_rng(seed)
    words = ("the", "of", "a", "to", "and", "in", "that", "is", "for", "it", "was", "on", "with", "as", "be", "this")
    lengths = np.clip(rng.lognormal(3.7, 0.9, count).astype(int), 3, 2000)
    return Texts(tuple(" ".join(rng.choice(words, length)) for length in lengths))


def minilm() -> TransformersModel:
    """Return MiniLM."""
    return configured(plain(compose(["model=minilm"]))["model"])


def ours(source: TransformersModel, texts: Texts) -> float:
    """Return texts a second of our forward stage into a fresh store, tokenising included."""
    modality._readers.clear()
    forward = forward_pass(source, PRECISION, None, False)
    with tempfile.TemporaryDirectory() as folder:
        entry = FeatureStore(Path(folder)).create({"benchmark": 1}, len(texts), 384, {})
        arguments = (entry, texts, np.arange(len(texts)), None, {**TRAINER, "precision": PRECISION}, lambda rows: None)
        return len(texts) / timed(lambda: forward.compute(*arguments))


class Plain:
    """The loop that a careful person writes: tokens sorted by length, batches of one size, mean and norm."""

    def __init__(self, source: TransformersModel) -> None:
        self.tokenizer = source.processor().tokenizer()  # type: ignore[union-attr]
        self.network = build(source).network.network
        self.dtype = torch.bfloat16 if PRECISION == "bf16-mixed" else None

    def tokens(self, texts: list[str], **told: object) -> dict[str, Tensor]:
        """Return a padded batch."""
        return self.tokenizer(texts, truncation=True, max_length=256, padding=True, return_tensors="pt", **told)

    def pooled(self, batch: dict[str, Tensor]) -> Tensor:
        """Return features of a batch."""
        hidden, mask = self.network(**batch).last_hidden_state.float(), batch["attention_mask"].unsqueeze(2).float()
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))

    @torch.inference_mode()
    def run(self, texts: Texts, size: int) -> Tensor:
        """Return the features (N, 384)."""
        rows = self.tokenizer(list(texts.texts), truncation=True, max_length=256)["input_ids"]
        order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
        features = torch.empty(len(rows), 384)
        with torch.autocast("cpu", self.dtype, enabled=self.dtype is not None):
            for start in range(0, len(order), size):
                part = order[start : start + size]
                batch = self.tokenizer.pad({"input_ids": [rows[place] for place in part]}, return_tensors="pt")
                features[part] = self.pooled(dict(batch))
        return features

    def best_batch_size(self, texts: Texts) -> int:
        """Return the batch size with the most texts a second."""
        part = Texts(texts.texts[:256])
        return min(SIZES, key=lambda size: min(timed(lambda: self.run(part, size)) for _ in range(2)))

    @torch.inference_mode()
    def as_sentence_transformers(self, texts: Texts) -> Tensor:
        """Return the features as its `encode` makes them: sorted by characters, batches of 32 tokenised one by one."""
        order = np.argsort([-len(text) for text in texts.texts])
        features = torch.empty(len(order), 384)
        for start in range(0, len(order), 32):
            part = order[start : start + 32]
            features[part] = self.pooled(dict(self.tokens(texts.read(part))))
        return features


def encoding(source: TransformersModel, plain_loop: Plain):  # type: ignore[no-untyped-def]
    """Return sentence-transformers' encode, and what to call it."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return plain_loop.as_sentence_transformers, "its loop, written by hand"
    model = SentenceTransformer(str(source.saved.folder), device="cpu", local_files_only=True)
    return lambda texts: model.encode(list(texts.texts), show_progress_bar=False), "sentence-transformers"


def frozen(count: int) -> None:
    """Print the rows of the frozen pass."""
    source, texts = minilm(), made_up(count)
    loop = Plain(source)
    best, (encode, name) = loop.best_batch_size(texts), encoding(source, loop)
    ours(source, texts)  # finds its batch size
    triples = []
    for _ in range(REPEATS):
        other, third = (count / timed(lambda run=run: run(texts)) for run in (lambda t: loop.run(t, best), encode))
        triples.append((ours(source, texts), other, third))
    mine, others, thirds = zip(*triples, strict=True)
    row(f"MiniLM, {count} texts", "≥ 0.90", spread([a / b for a, b in zip(mine, others, strict=True)], "×"),
        spread(mine, "/s", 0), f"{spread(others, '/s', 0)}, batches of {best}")  # fmt: skip
    row(f"MiniLM, {count} texts, {name}", "≥ 1.00", spread([a / b for a, b in zip(mine, thirds, strict=True)], "×"),
        spread(mine, "/s", 0), spread(thirds, "/s", 0))  # fmt: skip


def trained(batch: int, steps: int, count: int = 256) -> None:
    """Print the row of fine-tuning."""
    source, texts = minilm(), made_up(count)
    labels = np.arange(count) % CLASSES
    split = Split(texts, labels)
    data = Dataset("made up", tuple("abcd"), split, split, None, "here")
    recipe = Recipe(
        (1e-4,), batch_size=batch, min_steps=steps, max_steps=steps, patience=None, rounds=2, augment=()
    )  # fmt: skip
    indices = np.arange(count)
    work = Work(
        recipe, None, data, source, indices, labels, 0, None, (None, None), PRECISION, TRAINER, TrainingSettings()
    )

    def mine() -> float:
        run = Run(work, Share(), source.processor().reader(texts).held(indices), TRAINER, SilentReporter())
        run.fit("fit", 1e-4, steps, indices, None, None, None, lambda snapshot: None)
        return run.samples_per_s

    read = source.processor().reader(texts).held(indices)
    mine()
    pairs = [(plain_training(source, read, labels, batch, steps), mine()) for _ in range(REPEATS)]
    others, ours_ = zip(*pairs, strict=True)
    row(f"MiniLM fine-tuned, batches of {batch}", "≥ 0.95", spread([b / a for a, b in pairs], "×"),
        spread(ours_, "/s", 1), spread(others, "/s", 1))  # fmt: skip


def plain_training(source, read, labels, batch: int, steps: int) -> float:  # type: ignore[no-untyped-def]
    """Return texts a second of a hand-written training on the same batches."""
    network, head = copy.deepcopy(build(source).network).requires_grad_(True).train(), nn.Linear(384, CLASSES)
    parameters = [*network.parameters(), *head.parameters()]
    groups = [
        {"params": [p for p in parameters if (p.dim() > 1) == decays], "weight_decay": 0.05 * decays}
        for decays in (True, False)
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, fused=True)
    dtype = torch.bfloat16 if PRECISION == "bf16-mixed" else None
    started = time.perf_counter()
    for step in range(steps):
        places = batch_positions(len(labels), batch, step, 0)
        for group in optimizer.param_groups:
            group["lr"] = 1e-4 * rate_factor(step, steps, 0.1)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            logits = head(network(read(places)))
            loss = cross_entropy(logits.float(), torch.from_numpy(labels[places]), label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        if not math.isfinite(loss.item()):
            raise SystemExit("diverged")
    return steps * batch / (time.perf_counter() - started)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=12)
    asked = parser.parse_args(arguments or [])
    machine.keep_freed_memory()
    pl.seed_everything(0, verbose=False)
    row(f"texts, {PRECISION}", "target", "ratio", "ours", "the other")
    row("---", "---", "---", "---", "---")
    frozen(asked.texts)
    trained(32, asked.steps)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
