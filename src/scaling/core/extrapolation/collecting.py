"""In which orders to buy the labels that a target takes."""

from dataclasses import dataclass
from math import inf

import numpy as np

from scaling.core.errors import SettingError
from scaling.core.extrapolation.forecast import Forecast
from scaling.core.extrapolation.requirement import HORIZON, LEAST_CHANCE, Needed, needed
from scaling.core.extrapolation.statements import Statement, refusal
from scaling.core.words import about

#: Most orders of a plan, and the chance with which it has to reach its target.
MOST_ROUNDS, SURE = 10, 0.9


@dataclass(frozen=True)
class Price:
    """What data costs, in any one unit.

    Attributes:
        label: of one label.
        round: of an order, whatever its size: annotators are briefed, models are trained again.
        short: of not reaching the target in the end.
    """

    label: float = 1.0
    round: float = 1000.0
    short: float = 0.0

    def __post_init__(self) -> None:
        if not (self.label > 0 and self.round >= 0 and self.short >= 0):
            raise SettingError(
                f"price.label={self.label:g} price.round={self.round:g} price.short={self.short:g}:"
                " expected numbers from 0 up, that of a label above 0."
            )


@dataclass(frozen=True)
class Plan:
    """Orders of labels, each placed where the target is not reached with those before it.

    Attributes:
        totals: numbers of samples after each order; none where the target is reached.
        cost: expected cost, given that the target is reached within the horizon.
    """

    totals: tuple[float, ...]
    cost: float


def plan(found: Needed, price: Price) -> Plan:
    """Return the orders of least expected cost that reach a target with a chance of 90 %, if more data reaches it.

    An order is paid where those before it did not suffice: Σ (1 − F(q_{t−1})) (label (q_t − q_{t−1}) + round) and
    short (1 − F(q_T)), minimised exactly over all sequences of places of a lattice by dynamic programming.

    Source: the objective is that of Mahmood, Lucas, Alvarez, Fidler and Law (2022), Optimizing data collection for
        machine learning, NeurIPS, with a fixed cost of each round.
    """
    last = int(np.searchsorted(found.share, SURE))
    left = 1 - found.share
    stop = np.where(np.arange(len(left)) >= last, price.short * left, inf)
    costs, choices = stop, []
    for _ in range(MOST_ROUNDS):  # costs[i]: of going on from place i with so many more orders at most
        step = left[:, None] * (price.label * (found.n[None, :] - found.n[:, None]) + price.round) + costs[None, :]
        step[np.tril_indices(len(left))] = inf
        best = step.argmin(1)
        nearer = step[np.arange(len(left)), best]
        choices.append(np.where(nearer < stop, best, -1))
        costs = np.minimum(nearer, stop)
    totals: list[float] = []
    place = 0
    for choice in reversed(choices):
        if (place := int(choice[place])) < 0:
            break
        totals.append(float(found.n[place]))
    return Plan(tuple(totals), float(costs[0]))


def collection_plan(fitted: Forecast, error: float, price: Price) -> Statement:
    """State which orders of labels bring the error down to a target."""
    kind, now, found = "collection_plan", fitted.observations.top, needed(fitted, error)
    within = f"within {2**HORIZON} times the largest n"
    if found.n[0] < now:
        return Statement(kind, 0.0, None, None, True, f"An error of {error:.4g} needs no more labels.", {"orders": []})
    if found.chance < LEAST_CHANCE:
        why = f"an error of {error:.4g} is reached {within} with a chance of {found.chance:.2f} alone"
        return refusal(kind, why, chance=found.chance)
    made = plan(found, price)
    orders = np.diff([now, *made.totals]).tolist()
    first, *more = map(about, orders)
    then = f", then, as long as they do not suffice, {', '.join(more)} more" if more else ""
    text = (
        f"For an error of {error:.4g} order {first} labels{then}. That reaches it in"
        f" {100 * SURE:.0f} % of the cases in which data does {within} at all (chance {found.chance:.2f}), at an"
        f" expected cost of {about(made.cost)} where a label costs {price.label:g}, a round {price.round:g} and falling"
        f" short {price.short:g}."
    )
    details = {"orders": orders, "cost": made.cost, "chance": found.chance, "error": error}
    return Statement(kind, made.totals[-1], made.totals[0], made.totals[-1], True, text, details)
