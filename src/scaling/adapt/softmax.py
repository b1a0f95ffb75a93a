"""L2-penalised logistic regression, for a path of penalties and several folds at once.

For fold j with n_j rows and penalty strength C (scikit-learn's convention) the objective is

    L_j(W, b) = 1/n_j Σ_{i in j} [logsumexp(W x_i + b) − (W x_i + b)_{y_i}] + 1/(2 C n_j) ‖W‖²

with the intercept b free, over standardised features; of several regressions, each has its own. Features are turned
into the eigenbasis of their second moments, where the curvature is nearly diagonal. All folds and the whole subset are
solved side by side, sharing each matrix product (see `newton`); penalties go from strong to weak, each starting from
the ones before.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from scaling.adapt.newton import ROW_BLOCK, Problems, eigh
from scaling.tasks.base import Task

MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class Fit:
    """The head at the chosen penalty, and how the choice came about.

    Attributes:
        weight, bias: (outputs, d) and (outputs,), for raw features, trained on all rows.
        standardised: the same head over standardised features, and their mean and scale, (d,): what rounding spares
            where features are large, tiny, or far from 0.
        chosen: position of the penalty taken.
        held_out_loss, held_out_hits: (penalties tried, folds), on the rows that each fold leaves out.
        iterations: most iterations that a problem took, per penalty tried, and of the final fit.
        converged: whether every problem met its tolerance, likewise.
    """

    weight: Tensor
    bias: Tensor
    standardised: tuple[Tensor, Tensor, Tensor, Tensor]
    chosen: int
    held_out_loss: Tensor
    held_out_hits: Tensor
    iterations: list[int]
    converged: list[bool]


@dataclass(frozen=True)
class Path:
    """The heads of all penalties, trained on all rows.

    Attributes:
        weights, biases: (penalties, outputs, d) and (penalties, outputs), for raw features.
        objectives: (penalties,) float64.
        iterations: Hessian-vector products taken, per penalty.
        converged: whether the tolerance was met, likewise.
    """

    weights: Tensor
    biases: Tensor
    objectives: Tensor
    iterations: list[int]
    converged: list[bool]


def fit(
    features: Tensor,
    targets: Tensor,
    task: Task,
    penalties: list[float],
    folds: Tensor | None = None,
    search_tolerance: float = 1e-4,
    tolerance: float = 1e-6,
    max_iterations: int = MAX_ITERATIONS,
    stop_ratio: float = float("inf"),
    advance: Callable[[int], None] = lambda steps: None,
) -> Fit:
    """Choose the penalty with the lowest held-out log-loss, and fit it on all rows.

    Args:
        features: (n, d) float32, on the device to compute on; overwritten, so that no second copy is needed.
        targets: of the n rows, one row each.
        task: what they mean, and which regressions are fitted.
        penalties: values of C, strongest (smallest) first.
        folds: (n,) fold that each row is held out in, 0 … k-1, or -1 for none; None takes the first penalty without
            a choice.
        search_tolerance: a fit of the search is done when its objective is estimated to lie above the optimum by
            less than this share: far less than folds differ by.
        tolerance: the same for the final fit.
        max_iterations: Hessian-vector products that a fit may take.
        stop_ratio: weaker penalties are left out once the held-out loss exceeds the lowest so far by this
            factor: they take the most iterations and lose more and more.
        advance: called with the steps done, len(penalties) + 1 in all.
    """
    frame, search = Frame.of(features), Search()
    if folds is not None:
        search.run(frame, targets, task, penalties, folds, search_tolerance, max_iterations, stop_ratio, advance)
    advance(len(penalties) - len(search.losses))
    final = frame.problems(targets, task, torch.ones(1, len(features), device=features.device))
    if search.starts:
        final.weights = search.starts[search.chosen].view_as(final.weights)
    steps, solved = final.solve(penalties[search.chosen], tolerance, max_iterations)
    advance(1)
    solution = final.of_mask(0)
    weight, bias = frame.head(solution)
    empty = torch.empty(0, 0)
    return Fit(
        weight=weight,
        bias=bias,
        standardised=(*frame.turned_back(solution), frame.mean, frame.scale),
        chosen=search.chosen,
        held_out_loss=torch.stack(search.losses) if search.losses else empty,
        held_out_hits=torch.stack(search.hits) if search.losses else empty,
        iterations=[*search.iterations, steps],
        converged=[*search.converged, solved],
    )


@dataclass
class Search:
    """The cross-validation of penalties as far as it went; nothing of it where there is nothing to choose.

    Attributes:
        losses, hits: held-out, shape (k,) for k folds, one entry a penalty tried; so with the others.
        starts: weights (outputs, r + 1) for the final fit to start from: those of all rows, or of the one fold's.
    """

    losses: list[Tensor] = field(default_factory=list)
    hits: list[Tensor] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    converged: list[bool] = field(default_factory=list)
    starts: list[Tensor] = field(default_factory=list)

    @property
    def means(self) -> list[float]:
        """Held-out loss of each penalty."""
        return [float(entry.mean()) for entry in self.losses]

    @property
    def chosen(self) -> int:
        """Position of the lowest loss; of equal losses the stronger penalty's, which stands first."""
        return int(np.argmin(self.means)) if self.losses else 0

    def run(
        self, frame: "Frame", targets: Tensor, task: Task, penalties: list[float], folds: Tensor,
        tolerance: float, max_iterations: int, stop_ratio: float, advance: Callable[[int], None],
    ) -> None:  # fmt: skip
        """Try the penalties from strong to weak; the arguments are those of `fit`."""
        members = torch.arange(int(folds.max()) + 1, device=folds.device)
        masks = (folds != members[:, None]).float()
        if len(members) > 1:  # all rows go along, for the final fit to start from
            masks = torch.cat([masks, torch.ones(1, len(folds), device=folds.device)])
        problems = frame.problems(targets, task, masks)
        for penalty in penalties:
            steps, solved = problems.solve(penalty, tolerance, max_iterations)
            self.starts.append(problems.of_mask(len(masks) - 1).clone())
            loss, hits = problems.held_out()
            self.losses.append(loss[: len(members)])
            self.hits.append(hits[: len(members)])
            self.iterations.append(steps)
            self.converged.append(solved)
            advance(1)
            if self.means[-1] > stop_ratio * min(self.means):
                break


def path(
    features: Tensor,
    targets: Tensor,
    task: Task,
    penalties: list[float],
    tolerance: float = 1e-4,
    max_iterations: int = MAX_ITERATIONS,
) -> Path:
    """Fit all rows at each penalty, given from strong to weak; the arguments are those of `fit`."""
    frame = Frame.of(features)
    problem = frame.problems(targets, task, torch.ones(1, len(features), device=features.device))
    heads, objectives, iterations, converged = [], [], [], []
    for penalty in penalties:
        steps, solved = problem.solve(penalty, tolerance, max_iterations)
        heads.append(frame.head(problem.of_mask(0)))
        objectives.append(problem.objectives.mean())
        iterations.append(steps)
        converged.append(solved)
    weights, biases = zip(*heads, strict=True)
    return Path(torch.stack(weights), torch.stack(biases), torch.stack(objectives), iterations, converged)


@dataclass(frozen=True)
class Frame:
    """Features as the solver takes them: standardised, in the eigenbasis of their second moments.

    Attributes:
        mean, scale: (d,), of the raw features.
        basis: (d, r) with r = min(n, d).
        moments: (r,), second moments of the directions.
        features: (n, r).
    """

    mean: Tensor
    scale: Tensor
    basis: Tensor
    moments: Tensor
    features: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Frame":
        """Make the frame of raw features (n, d), which are overwritten."""
        return cls(*standardise(features), *rotate(features))

    def problems(self, targets: Tensor, task: Task, masks: Tensor) -> Problems:
        """Return problems over these rows, with masks (m, n)."""
        return Problems(self.features, self.moments, task, targets, masks)

    def turned_back(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a solution (outputs, r + 1) into weight (outputs, d) and bias (outputs,) for standardised features."""
        return weights[:, :-1] @ self.basis.T, weights[:, -1]

    def head(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a solution (outputs, r + 1) into weight (outputs, d) and bias (outputs,) for raw features."""
        weight, bias = (part.double() for part in self.turned_back(weights))
        weight /= self.scale
        return weight.float(), (bias - weight @ self.mean.double()).float()


def standardise(features: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and scale each column, in place; return mean and scale, each (d,). Constant columns stay 0."""
    mean = torch.zeros(features.shape[1], dtype=torch.float64, device=features.device)
    for block in features.split(ROW_BLOCK):
        mean += block.sum(0, dtype=torch.float64)
    mean /= len(features)
    squares = torch.zeros_like(mean)
    for block in features.split(ROW_BLOCK):
        block -= mean.float()
        squares += block.double().square().sum(0)  # in 32 bits, squares of 1e20 and of 1e-25 are lost
    std = (squares / len(features)).sqrt()
    # A column that varies by rounding alone carries nothing: leave it at (nearly) 0 rather than blow it up.
    std[std <= 2**-22 * mean.abs()] = 1.0
    features /= std.float()
    return mean.float(), std.float()


def rotate(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turn features into the eigenbasis of their second moments, in place where that is possible.

    Returns:
        Basis (d, r) with r = min(n, d), the moments of its directions (r,), and the rotated features (n, r).
    """
    rows, width = features.shape
    if rows < width:
        # In double precision: each direction's scale enters the basis, and single precision loses the weak ones.
        gram = torch.zeros(rows, rows, dtype=torch.float64, device=features.device)
        for block in features.split(ROW_BLOCK, dim=1):
            gram.addmm_(block.double(), block.double().T)
        moments, left = eigh(gram / rows)
        # Centred rows span at most n - 1 directions: what is left over is rounding noise, and left out.
        scale = torch.where(moments > 1e-12 * moments[-1], (moments * rows).clamp_min(0).sqrt(), torch.inf)
        basis = torch.cat([(block.double().T @ (left / scale)).float() for block in features.split(ROW_BLOCK, dim=1)])
        return basis, moments.clamp_min(0).float(), torch.where(scale.isfinite(), left * scale, 0).float()
    second = torch.zeros(width, width, device=features.device)
    for block in features.split(ROW_BLOCK):
        second.addmm_(block.T, block)
    moments, basis = eigh(second / rows)
    for block in features.split(ROW_BLOCK):
        block.copy_(block @ basis)
    return basis, moments.clamp_min(0), features
