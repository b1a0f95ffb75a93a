"""What pre-training gains: curves beside those that start from random weights."""

from collections.abc import Iterator, Mapping, Sequence

from scaling.findings.asked import Settings
from scaling.findings.pairs import Pair
from scaling.findings.results import Comparison, Gain, Pretraining
from scaling.metrics import Metric


def pretraining(
    pairs: Sequence[Pair],
    comparisons: Sequence[Comparison],
    metric: Metric,
    settings: Settings,
    labels: Mapping[str, str],
) -> Iterator[Pretraining]:
    """Yield what pre-training gains over n, from the comparisons of the pairs."""
    for a, b in pairs:
        of = [item for item in comparisons if {item.a, item.b} == {a, b}]
        gains = tuple(gain(item, a) for item in sorted(of, key=lambda item: item.n))
        if gains:
            parts = [_gain_words(made, settings) for made in gains]
            text = f"{labels[a]} against {labels[b]}, {metric.words}: {'; '.join(parts)}."
            yield Pretraining(of[0].dataset, a, b, gains, text)


def gain(item: Comparison, a: str) -> Gain:
    """Return a comparison seen from the pre-trained curve a."""
    if item.a == a or item.low is None or item.high is None:
        sign = 1 if item.a == a else -1
        return Gain(item.n, item.seeds, sign * item.difference, item.low, item.high, item.test)
    return Gain(item.n, item.seeds, -item.difference, -item.high, -item.low, item.test)


def _gain_words(made: Gain, settings: Settings) -> str:
    if made.low is None or made.high is None:
        return f"{made.gain:+.4f} at n = {made.n}"
    return f"{made.gain:+.4f} at n = {made.n} ({100 * (1 - settings.level):g} %: {made.low:+.4f} to {made.high:+.4f})"
