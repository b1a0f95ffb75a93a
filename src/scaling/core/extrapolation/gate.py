"""Which experts to believe: a small network, learned beforehand on real curves, weighs them by what a curve shows.

A curve's own evidence decides first; the network shifts it by scale-free features of the curve, never by its name.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from scaling.core.extrapolation.experts import Conditioned, Floats
from scaling.core.extrapolation.observations import Observations

#: Where the features look at the curve, in octaves from the largest n.
LOOKS = np.array([0.0, -1.0, -2.0])
#: Standardised features are cut here, so that a curve unlike any that was learned from can't push the weights far.
MOST = 3.0


@dataclass(frozen=True)
class Gate:
    """The network's parameters, several fits of it (g) whose weights are averaged.

    Attributes:
        centre, spread: by which features are standardised, shape (f,).
        temperature: factor of the evidence, shape (g,).
        bias: prior log weight of each expert, shape (g, e).
        inner, inner_bias: first layer, shapes (g, h, f) and (g, h).
        outer, outer_bias: second layer, shapes (g, e, h) and (g, e).
        levels: nominal tail probabilities (0.25, 0.05) and the mixture's that cover as much, shape (2, 2).
    """

    centre: Floats
    spread: Floats
    temperature: Floats
    bias: Floats
    inner: Floats
    inner_bias: Floats
    outer: Floats
    outer_bias: Floats
    levels: Floats

    def weights(self, features: Floats, evidence: Floats) -> Floats:
        """Weigh the experts: softmax of temperature · evidence + bias + outer · tanh(inner · features), shape (e,).

        Source: mixtures of experts, Jacobs, Jordan, Nowlan and Hinton (1991), Neural Computation 3(1).
        """
        standard = np.clip((features - self.centre) / self.spread, -MOST, MOST)
        hidden = np.tanh((self.inner * standard).sum(-1) + self.inner_bias)
        shift = (self.outer * hidden[:, None, :]).sum(-1) + self.outer_bias
        logits = self.temperature[:, None] * (evidence - evidence.max()) + self.bias + shift
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        averaged: Floats = (shares / shares.sum(-1, keepdims=True)).mean(0)
        return averaged

    def calibrated(self, levels: Floats) -> Floats:
        """Map nominal quantile levels (l,) to those of the mixture that have this coverage, log-linear in the tail.

        Source: Kuleshov, Fenner and Ermon (2018), Accurate uncertainties for deep learning using calibrated
        regression, ICML.
        """
        nominal, raw = (np.array([1e-6, row[1], row[0], 0.5]) for row in self.levels.T)
        tail = np.clip(np.minimum(levels, 1 - levels), 1e-6, 0.5)
        mapped = np.exp(np.interp(np.log(tail), np.log(nominal), np.log(raw)))
        return np.where(levels <= 0.5, mapped, 1 - mapped)


@cache
def learned() -> Gate:
    """Return the gate that ships with the package; `scripts/train_extrapolation_prior.py` makes it."""
    with resources.files(__package__).joinpath("gate.npz").open("rb") as file, np.load(file) as stored:
        return Gate(**{name: stored[name].astype(np.float64) for name in stored.files})


def features(observations: Observations, conditioned: Conditioned) -> Floats:
    """Describe a curve by numbers that change neither with its name nor with the unit of a loss, shape (14,)."""
    mean, _ = conditioned.predict(LOOKS)
    weights = np.exp(conditioned.evidence - conditioned.evidence.max())
    weights /= weights.sum()
    now, one, two = (mean * weights).sum(-1)
    deviation = np.sqrt(max(float((weights * mean[0] ** 2).sum() - now**2), 0.0))
    u = observations.u
    steps = np.diff(u, prepend=np.full(2, u[0]))
    # A loss has no natural level: it stands where most error rates do.
    level = float(observations.error[-1]) if observations.bounded else 0.5
    return np.array(
        [
            np.log(level + 0.003),
            np.log(1.01 - level),
            now - one,
            one - two,
            np.log(np.sqrt(np.mean(observations.u_variance)) + 0.002),
            float(observations.measured),
            min(-observations.x[0], 8.0),
            np.log(len(u)),
            steps[-1],
            steps[-2] if len(u) > 2 else 0.0,
            np.mean(np.diff(u) > 0) if len(u) > 1 else 0.0,
            u[-1] - now,
            np.log(np.clip(deviation, 1e-3, 1.0)),
            np.log10(np.clip(observations.largest, 10.0, 1e5)),
        ]
    )
