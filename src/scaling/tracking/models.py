"""Fitted heads as MLflow models: what `mlflow.pyfunc.load_model` loads, and the card that lies beside it."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from scaling._version import __version__
from scaling.core.identity import GridPoint
from scaling.core.secrets import mask
from scaling.metrics import Score

#: A card names so many classes.
MOST_CLASSES = 20


def save_model(folder: Path, data: Path, loader: str) -> None:
    """Write an MLflow model whose loader is a module of ours: its description and a copy of `data`, no pickle."""
    from mlflow import pyfunc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # samples may be of several kinds, so MLflow can't check them
        pyfunc.save_model(
            str(folder), loader_module=loader, data_path=str(data), pip_requirements=[f"scaling-curves=={__version__}"]
        )


def card(point: GridPoint, score: Score, classes: Sequence[str], flag: str, remarks: Sequence[str]) -> str:
    """Return a model card in Markdown: what was fitted on what, how well it does, and what must be known of it."""
    shown = ", ".join(classes[:MOST_CLASSES]) + (", …" if len(classes) > MOST_CLASSES else "")
    low, high = score.intervals.get(score.metric, (float("nan"), float("nan")))
    rows = [f"| {name} | {value:.4f} |" for name, value in sorted(score.test.items()) if "/" not in name]
    known = [*([flag] if flag else []), *remarks]
    return mask(
        f"""# {point.model}, {point.adaptation} on {point.dataset}

A head on the frozen features of `{point.model}`, fitted on {point.n} training samples of `{point.dataset}`
(seed {point.seed}).

- test {score.metric} {score.test_score:.4f} (95 % {low:.4f} … {high:.4f}), train {score.train_score:.4f}
- classes: {shown}
- fingerprint `{point.fingerprint}`, scaling-curves {__version__}

```python
import mlflow

scorer = mlflow.pyfunc.load_model("runs:/RUN_ID/model")
scorer.predict(samples)  # features (k, d), a list of texts, or images (k, height, width, channels) as uint8
```

| metric of the test set | value |
| --- | --- |
{chr(10).join(rows)}

It says which of these classes a sample resembles most, whatever the sample is. Probabilities were not calibrated.
"""
        + "".join(f"\n- {text}" for text in known)
    )
