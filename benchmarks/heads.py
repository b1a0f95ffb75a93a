"""The linear probe against scikit-learn at the same objective: `python -m benchmarks.heads`.

Both choose among the same penalties with the same five folds and refit; ours does so in one batched search. The
features are synthetic, with the correlated, quickly falling spectrum of a network's last layer.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.timing import row, seconds, spread

PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
CLASSES, WIDTH, REPEATS = 10, 1280, 3


def problem(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, WIDTH) and labels (n,)."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(WIDTH, WIDTH)) * (np.arange(1, WIDTH + 1) ** -0.7)[:, None]
    features = (rng.normal(size=(n, WIDTH)) @ mixing).astype(np.float32)
    logits = features @ rng.normal(size=(WIDTH, CLASSES)).astype(np.float32)
    noise = rng.gumbel(size=logits.shape)
    return features, np.argmax(logits / logits.std() * 3 + noise, axis=1)


def ours(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> None:
    """Search and refit with our solver."""
    import torch

    from scaling.adapt.softmax import fit

    fit(torch.from_numpy(features.copy()), torch.from_numpy(labels), CLASSES, PENALTIES, torch.from_numpy(folds))


def theirs(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> None:
    """Search and refit with scikit-learn's lbfgs, warm-started along the penalties."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features)
    losses = np.zeros(len(PENALTIES))
    for fold in range(folds.max() + 1):
        model = LogisticRegression(warm_start=True, max_iter=1000, tol=1e-3)
        for i, penalty in enumerate(PENALTIES):
            model.set_params(C=penalty).fit(scaled[folds != fold], labels[folds != fold])
            held_out = model.predict_log_proba(scaled[folds == fold])
            losses[i] -= held_out[np.arange(len(held_out)), labels[folds == fold]].mean()
    LogisticRegression(C=PENALTIES[int(losses.argmin())], max_iter=3000, tol=1e-5).fit(scaled, labels)


def main() -> None:
    """Print the table."""
    from scaling.core.subsets import stratified_folds
    from scaling.machine import keep_freed_memory

    keep_freed_memory()
    row("n", "ours", "scikit-learn", "ratio")
    row("---", "---", "---", "---")
    for n in (1_000, 2_000):
        features, labels = problem(n)
        arguments = (features, labels, stratified_folds(labels, 5, 0))
        ours(*arguments)
        pairs = [(once(ours, arguments), once(theirs, arguments)) for _ in range(REPEATS)]
        mine, other = zip(*pairs, strict=True)
        row(str(n), spread(mine), spread(other), spread([b / a for a, b in pairs], unit="×", digits=1))


def once(solve: Callable[..., None], arguments: tuple[np.ndarray, ...]) -> float:
    """Time one search."""
    return seconds(lambda: solve(*arguments), 1)[0]


if __name__ == "__main__":
    main()
