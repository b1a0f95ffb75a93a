"""L2-penalised multinomial logistic regression, for a path of penalties and several folds at once.

For fold j with n_j rows and penalty strength C (scikit-learn's convention) the objective is

    L_j(W, b) = 1/n_j Σ_{i in j} [logsumexp(W x_i + b) − (W x_i + b)_{y_i}] + 1/(2 C n_j) ‖W‖²

with the intercept b free. All folds and the whole subset are solved side by side, sharing each matrix product;
penalties go from strong to weak, each starting from the one before. The penalty that is chosen is then solved more
closely on all rows. L-BFGS (Nocedal and Wright 2006, ch. 7)
runs in the eigenbasis of the features' second moments, where the curvature a s_k + 1/(C n_j) of direction k is
nearly diagonal (a bounds Böhning's 1992 majoriser by the mean predicted variance), so it starts close to
Newton's method. Logits are linear in the weights: a line search costs no matrix product.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MEMORY = 12  # curvature pairs of L-BFGS
#: Elements of one logits matrix; more problems than fit are solved in groups.
LOGIT_ELEMENTS = 1 << 25
ROW_BLOCK = 4096


@dataclass(frozen=True)
class Fit:
    """The head at the chosen penalty, and how the choice came about.

    Attributes:
        weight, bias: (outputs, d) and (outputs,), for raw features, trained on all rows.
        chosen: position of the penalty taken.
        held_out_loss, held_out_accuracy: (penalties tried, folds), on the rows that each fold leaves out.
        iterations: most iterations that a problem took, per penalty tried, and of the final fit.
        converged: whether every problem met its tolerance, likewise.
    """

    weight: Tensor
    bias: Tensor
    chosen: int
    held_out_loss: Tensor
    held_out_accuracy: Tensor
    iterations: list[int]
    converged: list[bool]


def fit(
    features: Tensor,
    labels: Tensor,
    classes: int,
    penalties: list[float],
    folds: Tensor | None = None,
    search_tolerance: float = 1e-4,
    tolerance: float = 1e-6,
    max_iterations: int = 500,
    stop_ratio: float = float("inf"),
    advance: Callable[[int], None] = lambda steps: None,
) -> Fit:
    """Choose the penalty with the lowest held-out log-loss, and fit it on all rows.

    Args:
        features: (n, d) float32; overwritten, so that no second copy is needed.
        labels: (n,) classes 0 … classes-1.
        penalties: values of C, strongest (smallest) first.
        folds: (n,) fold of each row, 0 … k-1; None takes the first penalty without a choice.
        search_tolerance: a fit of the search is done when its estimated distance to the optimum is below this
            share of its objective: far less than folds differ by.
        tolerance: the same for the final fit.
        stop_ratio: weaker penalties are left out once the held-out loss exceeds the lowest so far by this
            factor: they take the most iterations and lose more and more.
        advance: called with the steps done, len(penalties) + 1 in all.
    """
    rows = len(features)
    mean, std = standardise(features)
    basis, moments, rotated = rotate(features)
    everything = torch.ones(rows, 1, device=features.device)
    final = _Problems(rotated, labels, classes, everything, moments)
    losses, accuracies, iterations, converged = [], [], [], []
    if folds is not None:
        members = torch.arange(int(folds.max()) + 1, device=folds.device)
        # The last problem is the final one's: it goes along, to start from.
        masks = torch.cat([(folds[:, None] != members).float(), everything], dim=1)
        search = _Problems(rotated, labels, classes, masks, moments)
        starts = []
        for penalty in penalties:
            steps, solved = search.solve(penalty, search_tolerance, max_iterations)
            starts.append((search.weight[:, -1:].clone(), search.bias[-1:].clone()))
            loss, accuracy = search.held_out()
            losses.append(loss[:-1])
            accuracies.append(accuracy[:-1])
            iterations.append(steps)
            converged.append(solved)
            advance(1)
            means = [float(entry.mean()) for entry in losses]
            if means[-1] > stop_ratio * min(means):
                break
        chosen = means.index(min(means))  # of equal losses the stronger penalty, which stands first
        final.weight, final.bias = starts[chosen]
        advance(len(penalties) - len(losses))
    else:
        chosen = 0
        advance(len(penalties))
    steps, solved = final.solve(penalties[chosen], tolerance, max_iterations)
    advance(1)
    weight = (basis @ final.weight[:, 0]).T / std  # back from eigenbasis and standardisation
    empty = torch.empty(0, 0)
    return Fit(
        weight=weight,
        bias=final.bias[0] - weight @ mean,
        chosen=chosen,
        held_out_loss=torch.stack(losses) if losses else empty,
        held_out_accuracy=torch.stack(accuracies) if accuracies else empty,
        iterations=[*iterations, steps],
        converged=[*converged, solved],
    )


def standardise(features: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and scale each column, in place; return mean and scale, each (d,). Constant columns stay 0."""
    mean = torch.zeros(features.shape[1], dtype=torch.float64, device=features.device)
    for block in features.split(ROW_BLOCK):
        mean += block.sum(0, dtype=torch.float64)
    mean /= len(features)
    squares = torch.zeros_like(mean)
    for block in features.split(ROW_BLOCK):
        block -= mean.float()
        squares += block.square().sum(0, dtype=torch.float64)
    std = (squares / len(features)).sqrt()
    # A column that varies by rounding alone carries nothing: leave it at (nearly) 0 rather than blow it up.
    std[std <= 1e-6 * (mean.abs() + 1)] = 1.0
    features /= std.float()
    return mean.float(), std.float()


def rotate(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turn features into the eigenbasis of their second moments, in place where that is possible.

    Returns:
        Basis (d, r) with r = min(n, d), the moments of its directions (r,), and the rotated features (n, r).
    """
    rows, width = features.shape
    if rows < width:
        moments, left = torch.linalg.eigh(features @ features.T / rows)
        moments = moments.clamp_min(0)
        # Centred rows span at most n - 1 directions: what is left over is rounding noise, and left out.
        real = moments > 1e-6 * moments[-1]
        scale = torch.where(real, (moments * rows).sqrt(), 1)
        basis = features.T @ torch.where(real, left / scale, 0)
        return basis, moments, features @ basis
    second = torch.zeros(width, width, device=features.device)
    for block in features.split(ROW_BLOCK):
        second.addmm_(block.T, block)
    moments, basis = torch.linalg.eigh(second / rows)
    for block in features.split(ROW_BLOCK):
        block.copy_(block @ basis)
    return basis, moments.clamp_min(0), features


class _Problems:
    """m problems over the same rows, each with a mask of its training rows; solved in groups that fit memory."""

    def __init__(self, features: Tensor, labels: Tensor, classes: int, masks: Tensor, moments: Tensor) -> None:
        self.features, self.labels, self.masks, self.moments = features, labels, masks, moments
        self.classes, self.count = classes, masks.shape[1]
        self.weight = torch.zeros(features.shape[1], self.count, classes, device=features.device)
        self.bias = torch.zeros(self.count, classes, device=features.device)
        self.sizes = masks.sum(0)
        self.group = max(1, LOGIT_ELEMENTS // (len(features) * classes))

    def solve(self, penalty: float, tolerance: float, max_iterations: int) -> tuple[int, bool]:
        """Move all problems to the optimum for this penalty, from where they are."""
        steps, solved = 0, True
        for start in range(0, self.count, self.group):
            members = torch.arange(start, min(start + self.group, self.count), device=self.features.device)
            taken, reached = _Lbfgs(self, members, penalty).run(tolerance, max_iterations)
            steps, solved = max(steps, taken), solved and reached
        return steps, solved

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Return mean log-loss and accuracy on the rows outside each problem's mask, (m,) each."""
        losses, hits = [], []
        for problem in range(self.count):
            out = self.masks[:, problem] == 0
            logits = self.features[out] @ self.weight[:, problem] + self.bias[problem]
            truth = self.labels[out]
            losses.append(torch.nn.functional.cross_entropy(logits, truth))
            hits.append((logits.argmax(1) == truth).float().mean())
        return torch.stack(losses), torch.stack(hits)


@dataclass
class _State:
    """Where a line search stands: objective, slope and curvature along the direction, and the residuals."""

    objective: Tensor
    slope: Tensor
    bend: Tensor
    residual: Tensor


class _Lbfgs:
    """L-BFGS for some problems at once; those that are solved drop out of the matrix products."""

    def __init__(self, problems: _Problems, members: Tensor, penalty: float) -> None:
        self.problems, self.members, self.penalty = problems, members, penalty
        self.theta = torch.cat([problems.weight[:, members], problems.bias[None, members]])  # (r + 1, m, c)
        self.select(members)
        self.logits = self.product(self.theta)
        self.restart()

    def select(self, members: Tensor) -> None:
        """Take the masks and penalties of these problems."""
        sizes = self.problems.sizes[members]
        self.share = (self.problems.masks[:, members] / sizes)[:, :, None]  # (n, m, 1): 1/n_j inside, 0 outside
        ridge = 1 / (self.penalty * sizes)
        # The intercept carries no penalty.
        self.ridge = torch.cat([ridge.expand(len(self.problems.moments), -1), torch.zeros_like(ridge)[None]])[
            :, :, None
        ]

    def restart(self) -> None:
        """Set up curvature for the present weights and forget the history."""
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []
        state = self.evaluate(self.logits, torch.zeros_like(self.logits), None)
        spread = torch.softmax(self.logits, dim=2).square_().sum(2).neg_().add_(1)  # 1 − Σ p², (n, m)
        bend = (spread * self.share[:, :, 0]).sum(0) / max(1, self.problems.classes - 1)
        moments = torch.cat([self.problems.moments, torch.ones(1, device=bend.device)])
        self.curvature = (moments[:, None] * bend.clamp_min(1e-4))[:, :, None] + self.ridge
        self.gradient = self.gradient_of(state.residual)
        self.objective = state.objective

    def run(self, tolerance: float, max_iterations: int) -> tuple[int, bool]:
        """Iterate until every problem is solved or the iterations are used up."""
        calm = torch.zeros(len(self.members), dtype=torch.int64, device=self.members.device)
        for iteration in range(max_iterations):
            direction = self.direction()
            slope = (direction * self.gradient).sum((0, 2))
            # −slope/2 estimates the distance to the optimum; the preconditioner may overrate curvature, so
            # twice in a row it has to be small.
            close = -slope / 2 <= tolerance * self.objective.clamp_min(1e-12)
            calm = torch.where(close, calm + 1, torch.zeros_like(calm))
            if bool((calm > 1).any()):
                self.store()
                if bool((calm > 1).all()):
                    return iteration, True
                keep = calm <= 1
                direction, slope, calm = direction[:, keep], slope[keep], calm[keep]
                self.narrow(keep)
            self.step(direction, slope)
        self.store()
        return max_iterations, False

    def step(self, direction: Tensor, slope: Tensor) -> None:
        """Move along the direction to (nearly) the lowest point, and learn the curvature met on the way."""
        along = self.product(direction)
        length, state = self.search(direction, along, slope)
        moved = direction * length[None, :, None]
        self.theta += moved
        self.logits += along * length[:, None]
        gradient = self.gradient_of(state.residual)
        change = gradient - self.gradient
        product = (moved * change).sum((0, 2))
        self.pairs.append((moved, change, product))
        del self.pairs[:-MEMORY]
        self.gradient, self.objective = gradient, state.objective

    def search(self, direction: Tensor, along: Tensor, slope: Tensor) -> tuple[Tensor, _State]:
        """Newton's method in the step length; the objective is convex along the line."""
        length = torch.ones_like(slope)
        floor = torch.zeros_like(slope)
        ceiling = torch.full_like(slope, torch.inf)
        for _ in range(8):
            state = self.evaluate(self.logits, along, (direction, length))
            enough = (state.slope.abs() <= 0.5 * slope.abs()) | (slope == 0)
            if bool(enough.all()):
                break
            downhill = state.slope < 0
            floor = torch.where(downhill, length, floor)
            ceiling = torch.where(downhill, ceiling, length)
            proposal = length - state.slope / state.bend.clamp_min(1e-30)
            outside = (proposal <= floor) | (proposal >= ceiling)
            middle = torch.where(ceiling.isinf(), 2 * length, (floor + ceiling) / 2)
            length = torch.where(enough, length, torch.where(outside, middle, proposal))
        return length, state

    def evaluate(self, logits: Tensor, along: Tensor, move: tuple[Tensor, Tensor] | None) -> _State:
        """Return objective, its slope and curvature along `along`, and the residuals, after the move."""
        theta, at = self.theta, logits
        if move is not None:
            direction, length = move
            theta = theta + direction * length[None, :, None]
            at = torch.addcmul(logits, along, length[None, :, None].expand_as(along))
        peak = at.amax(2, keepdim=True)
        exponentials = (at - peak).exp_()
        total = exponentials.sum(2, keepdim=True)
        truth = self.problems.labels[:, None, None].expand(-1, at.shape[1], 1)
        loss = (total.log() + peak - at.gather(2, truth)) * self.share
        probability = exponentials.div_(total)
        objective = loss.sum((0, 2), dtype=torch.float64).float() + 0.5 * (self.ridge * theta.square()).sum((0, 2))
        bend = slope = torch.zeros_like(objective)
        if move is not None:
            direction, _ = move
            drift = (probability * along).sum(2, keepdim=True)
            spread = (probability * along.square()).sum(2, keepdim=True) - drift.square()
            bend = (spread * self.share).sum((0, 2)) + (self.ridge * direction.square()).sum((0, 2))
            slope = ((drift - along.gather(2, truth)) * self.share).sum((0, 2))
            slope = slope + (self.ridge * theta * direction).sum((0, 2))
        residual = probability.scatter_add_(2, truth, torch.full_like(loss, -1.0)).mul_(self.share)
        return _State(objective, slope, bend, residual)

    def direction(self) -> Tensor:
        """The two-loop recursion, each problem with its own scalars."""
        q = self.gradient.clone()
        alphas = []
        for moved, change, product in reversed(self.pairs):
            alpha = torch.where(product > 0, (moved * q).sum((0, 2)) / product.clamp_min(1e-38), 0)
            q -= change * alpha[None, :, None]
            alphas.append(alpha)
        q /= self.curvature
        if self.pairs:
            _, change, product = self.pairs[-1]
            norm = (change.square() / self.curvature).sum((0, 2))
            q *= torch.where((product > 0) & (norm > 0), product / norm.clamp_min(1e-38), 1.0)[None, :, None]
        for (moved, change, product), alpha in zip(self.pairs, reversed(alphas), strict=True):
            beta = torch.where(product > 0, (change * q).sum((0, 2)) / product.clamp_min(1e-38), 0)
            q += moved * (alpha - beta)[None, :, None]
        return q.neg_()

    def gradient_of(self, residual: Tensor) -> Tensor:
        """Return the gradient (r + 1, m, c) from residuals (n, m, c)."""
        flat = residual.flatten(1)
        # (GᵀX)ᵀ instead of XᵀG: up to 7 times as fast on a CPU where few problems are left.
        weight = (flat.T @ self.problems.features).T.reshape(-1, *residual.shape[1:])
        return torch.cat([weight, residual.sum(0, keepdim=True)]) + self.ridge * self.theta

    def product(self, theta: Tensor) -> Tensor:
        """Return logits (n, m, c) of weights (r + 1, m, c)."""
        return (self.problems.features @ theta[:-1].flatten(1)).view(-1, *theta.shape[1:]) + theta[-1]

    def store(self) -> None:
        """Hand the weights of all problems still held to their owner."""
        self.problems.weight[:, self.members] = self.theta[:-1]
        self.problems.bias[self.members] = self.theta[-1]

    def narrow(self, keep: Tensor) -> None:
        """Go on with some of the problems."""
        self.members = self.members[keep]
        self.select(self.members)
        self.theta, self.gradient, self.logits = (
            self.theta[:, keep],
            self.gradient[:, keep],
            self.logits[:, keep],
        )
        self.curvature, self.objective = self.curvature[:, keep], self.objective[keep]
        self.pairs = [(moved[:, keep], change[:, keep], product[keep]) for moved, change, product in self.pairs]
