"""Truncated Newton for several L2-penalised logistic regressions over the same rows, side by side.

Each step solves the Newton equations by conjugate gradients until the inexactness no longer matters (Dembo, Eisenstat
and Steihaug 1982; Nocedal and Wright 2006, section 7.1). A Hessian-vector product costs two matrix products, shared by
all problems. Logits are linear in the weights, so a line search costs none.

The preconditioner takes the Hessian for a Kronecker product, as in Martens and Grosse (2015): second moments of the
features (diagonal, as the features come in their eigenbasis) times the mean class covariance
A = 1/n Σ_i (diag p_i − p_i p_iᵀ). In the eigenbasis of A the curvature of direction (c, k) is a_c s_k + ridge.

What conjugate gradients are still missing follows from their own coefficients: these are Lanczos', and show the
smallest eigenvalue of the preconditioned Hessian, from which the Gauss-Radau rule bounds the error. That tells when to
stop.

A regression with one class more than it has weights for, whose logit is 0, follows the same formulas: only sums over
classes have a further term, e⁰. With one class that is binary logistic regression, of which there may be any number.

Layout: m problems, c classes, r directions. Weights are (m, c, r + 1) with the intercept last, logits (m, c, n): on a
CPU both matrix products are twice as fast with the rows last.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.core.costs import LOGIT_ELEMENTS
from scaling.tasks.base import Task

ROW_BLOCK = 4096
INEXACTNESS = 0.2  # a Newton step may miss this share of its decrease, unless the tolerance asks for less
SPARE = 0.25  # share of the tolerance that may be lost to the last step's inexactness
#: The logit of a class that is left out: its probability is 0 beside any other's.
NEVER = -1e4
#: The smallest eigenvalue that a run has shown lies above the true one, the more so the shorter the run.
MARGIN = 0.2


class Problems:
    """m problems over the same rows, one for each regression and mask; they keep their weights between penalties.

    Attributes:
        weights: (m, c, r + 1); problem i is of regression i // k and mask i % k, of k masks.
        open: the problems that are solved. Where all rows are alike there is no optimum: such a regression stays at
            the logarithm of its odds, half a row added on either side. Nor is there one for a class of several that
            has no row: it is left out, and gets the odds of half a row in the end.
    """

    def __init__(self, features: Tensor, moments: Tensor, task: Task, targets: Tensor, masks: Tensor) -> None:
        """Start from weights of zero.

        Args:
            features: (n, r), centred, in the eigenbasis of their second moments.
            moments: (r,), the eigenvalues.
            task, targets: what is to be told of the n rows.
            masks: (k, n), 1 for a problem's rows and 0 for the others.
        """
        self.features, self.task, self.targets, self.masks = features, task, targets, masks
        self.labels, self.classes, self.present = task.regressions(targets)
        self.moments = torch.cat([moments, torch.ones_like(moments[:1])])
        self.count = len(masks) * (1 if self.present is None else len(self.present))
        self.sizes = masks.sum(1)
        self.weights = torch.zeros(self.count, self.classes, features.shape[1] + 1, device=features.device)
        self.open = torch.arange(self.count, device=features.device)
        self.free: Tensor | None = None  # (k, c, 1), 0 for classes without a row, where there are such
        if self.present is None:  # from the odds of a head that looks at nothing
            counts = torch.stack([torch.bincount(self.labels[mask > 0], minlength=self.classes) for mask in masks])
            self.weights[:, :, -1] = (counts / self.sizes[:, None]).log().clamp_min(NEVER)
            self.free = None if bool((counts > 0).all()) else (counts > 0)[:, :, None].float()
        else:
            found = (self.present @ masks.T).flatten()
            others = self.sizes.repeat(len(self.present)) - found
            alike = (found == 0) | (others == 0)
            self.weights[alike, 0, -1] = ((found + 0.5) / (others + 0.5)).log()[alike]
            self.open = self.open[~alike]
        self.before: Tensor | None = None  # the weights one penalty earlier, to extrapolate from
        self.objectives = torch.zeros(self.count, dtype=torch.float64, device=features.device)
        self.flattest = np.ones(self.count)  # smallest eigenvalue met of each preconditioned Hessian
        # More problems than fit are solved in groups. About five matrices of logits are held.
        self.group = max(1, LOGIT_ELEMENTS // (len(features) * self.classes))

    def solve(self, penalty: float, tolerance: float, max_iterations: int) -> tuple[int, bool]:
        """Move all problems to the optimum for this penalty, from where they are.

        Returns:
            The most Hessian-vector products that a problem took, and whether all are within the tolerance.
        """
        before, self.before = self.before, self.weights.clone()
        iterations, solved = 0, True
        for members in self.open.split(self.group) if len(self.open) else ():
            group = _Group(self, members, penalty)
            if before is not None:
                group.extrapolate(before[members])
            solved &= group.run(tolerance, max_iterations)
            iterations = max(iterations, group.iterations)
        return iterations, solved

    def of_mask(self, number: int) -> Tensor:
        """Return the weights of all regressions with a mask, one row an output, (outputs, r + 1)."""
        return self.weights.unflatten(0, (-1, len(self.masks)))[:, number].flatten(0, 1)

    def head(self, number: int) -> Tensor:
        """Return the weights of a mask; a class that has no row in it gets half a row's odds, by the mean over rows."""
        weights = self.of_mask(number)
        if self.free is None or bool(self.free[number].all()):
            return weights
        rest = [
            torch.addmm(weights[:, -1], rows, weights[:, :-1].T).logsumexp(1) for rows in self.features.split(ROW_BLOCK)
        ]
        odds = torch.cat(rest).mean() + (0.5 / self.sizes[number]).log()
        weights = weights.clone()
        weights[self.free[number, :, 0] == 0, -1] = odds
        return weights

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Return mean loss and share of hits on the rows outside each mask, (k,) each, else NaN."""
        losses, hits = (torch.zeros(len(self.masks), dtype=torch.float64, device=self.weights.device) for _ in "12")
        for number, mask in enumerate(self.masks):
            weights = self.head(number)
            for rows in (mask == 0).nonzero()[:, 0].split(ROW_BLOCK):
                logits = torch.addmm(weights[:, -1], self.features[rows], weights[:, :-1].T)
                losses[number] += self.task.loss(logits, self.targets[rows], reduction="sum")
                hits[number] += self.task.hits(logits, self.targets[rows])
        outside = self.masks.shape[1] - self.sizes.double()
        return (losses / outside).float(), (hits / outside).float()


@dataclass
class _Point:
    """What is known at some logits: objective, slope and curvature along the line searched, and probabilities."""

    objective: Tensor
    slope: Tensor
    bend: Tensor
    probabilities: Tensor  # (m, c, n), 0 outside a problem's rows


class _Group:
    """Some problems at one penalty; those that are solved drop out of the matrix products."""

    def __init__(self, problems: Problems, members: Tensor, penalty: float) -> None:
        self.problems, self.penalty, self.iterations = problems, penalty, 0
        self.weights = problems.weights[members]
        self.select(members)
        self.logits = self.product(self.weights)
        still = torch.zeros_like(self.weights)
        self.point = self.evaluate(torch.zeros(len(members), device=members.device), still, self.logits)

    def select(self, members: Tensor) -> None:
        """Take masks, sizes and penalties of these problems."""
        self.members = members
        masks, present = self.problems.masks, self.problems.present
        self.masks = masks[members % len(masks)]
        self.sizes = self.problems.sizes[members % len(masks), None, None]
        self.free = None if self.problems.free is None else self.problems.free[members % len(masks)]
        self.present = None if present is None else present[members // len(masks), None]  # (m, 1, n)
        # The intercept carries no penalty.
        penalised = torch.ones_like(self.problems.moments)
        penalised[-1] = 0
        self.ridge = penalised / (self.penalty * self.sizes)  # (m, 1, r + 1)

    def extrapolate(self, before: Tensor) -> None:
        """Go on along the line from the solution one penalty earlier: solutions change smoothly with log C."""
        step = self.weights - before
        self.move(step, self.product(step))

    def run(self, tolerance: float, max_iterations: int) -> bool:
        """Take Newton steps until every problem is solved or the iterations are used up."""
        while self.iterations < max_iterations:
            objective = self.point.objective
            step, along, decrease, missing = self.newton_step(tolerance, max_iterations)
            self.move(step, along)
            # What the quadratic model did not foresee bounds what a further step could still find.
            surprise = torch.minimum((objective - self.point.objective - decrease).abs(), decrease)
            solved = missing + surprise <= tolerance * self.point.objective.clamp_min(1e-12)
            if bool(solved.any()):
                self.store()
                if bool(solved.all()):
                    return True
                self.narrow(~solved)
        self.store()
        return False

    def newton_step(self, tolerance: float, max_iterations: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Solve the Newton equations by preconditioned conjugate gradients, as far as is worth it.

        Returns:
            The step (m, c, r + 1) and its logits (m, c, n); what the quadratic model says it gains, and what it says
            is missing, (m,) each.
        """
        precondition = self.preconditioner()
        residual = -self.gradient()
        direction = self.of_free(precondition(residual))
        step, along = torch.zeros_like(direction), torch.zeros_like(self.logits)
        energy = dot(residual, direction)
        wanted = SPARE * tolerance * self.point.objective.clamp_min(1e-12)
        decrease = torch.zeros_like(energy)
        bound = _ErrorBound(self.problems.flattest[self.members.cpu().numpy()])
        for _ in range(max_iterations - self.iterations):
            curvature, logits = self.hessian_product(direction)
            self.iterations += 1
            bend = dot(direction, curvature)
            length = torch.where(bend > 0, energy / bend.clamp_min(1e-38), 0)
            step += length[:, None, None] * direction
            along += logits.mul_(length[:, None, None])
            residual -= length[:, None, None] * curvature
            decrease = decrease + 0.5 * length * energy
            candidate = self.of_free(precondition(residual))
            found = dot(residual, candidate)
            ratio = torch.where(energy > 0, found / energy.clamp_min(1e-38), 0)
            direction = candidate + ratio[:, None, None] * direction
            energy = found
            if bound.all_within(length, ratio, energy, torch.maximum(INEXACTNESS * decrease, wanted)):
                break
        self.problems.flattest[self.members.cpu().numpy()] = bound.flattest
        return step, along, decrease, torch.from_numpy(bound.missing).to(energy)

    def preconditioner(self) -> "_Kronecker":
        """Return the Kronecker-factored inverse of the Hessian at the present probabilities."""
        probabilities = self.point.probabilities
        means = probabilities.sum(2) / self.sizes[:, 0]
        covariance = torch.diag_embed(means) - probabilities @ probabilities.transpose(1, 2) / self.sizes
        values, vectors = eigh(covariance)
        values = values.clamp_min(1e-7).maximum(1e-6 * values[:, -1:])  # the direction of all classes alike has none
        return _Kronecker(vectors, values[:, :, None] * self.problems.moments + self.ridge, self.present is None)

    def gradient(self) -> Tensor:
        """Return the gradient (m, c, r + 1) at the present point."""
        truth = self.problems.labels.expand(len(self.masks), 1, -1)
        ones = self.masks[:, None] if self.present is None else self.masks[:, None] * self.present
        residual = self.point.probabilities.scatter_add(1, truth, -ones)
        return self.of_free(self.collect(residual) / self.sizes + self.ridge * self.weights)

    def hessian_product(self, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Hessian times a direction (m, c, r + 1), and the direction's logits (m, c, n)."""
        logits = self.product(direction)
        change = self.point.probabilities * logits
        change.addcmul_(self.point.probabilities, change.sum(1, keepdim=True), value=-1)
        return self.of_free(self.collect(change) / self.sizes + self.ridge * direction), logits

    def of_free(self, weights: Tensor) -> Tensor:
        """Return weights (m, c, r + 1) with 0 for the classes that stay where they are."""
        return weights if self.free is None else weights * self.free

    def at_truth(self, values: Tensor) -> Tensor:
        """Return what stands at the true class of each row, (m, c, n) to (m, 1, n): 0 at the one without weights."""
        found = values.gather(1, self.problems.labels.expand(len(values), 1, -1))
        return found if self.present is None else found * self.present

    def product(self, weights: Tensor) -> Tensor:
        """Return the logits (m, c, n) of weights (m, c, r + 1)."""
        flat = weights[..., :-1].flatten(0, 1) @ self.problems.features.T
        return flat.view(*weights.shape[:2], -1).add_(weights[..., -1:])

    def collect(self, residual: Tensor) -> Tensor:
        """Return Σ_i residual_i (x_i, 1): (m, c, n) to (m, c, r + 1)."""
        weights = (residual.flatten(0, 1) @ self.problems.features).view(*residual.shape[:2], -1)
        return torch.cat([weights, residual.sum(2, keepdim=True)], dim=2)

    def move(self, step: Tensor, along: Tensor) -> None:
        """Move to (nearly) the lowest point in the direction of a step: Newton's method in its length.

        A problem stays where it is if the direction leads up.
        """
        length = torch.zeros_like(self.point.objective, dtype=step.dtype)
        start = self.evaluate(length, step, along).slope
        uphill = start >= 0
        length = torch.where(uphill, length, 1)
        floor, ceiling = torch.zeros_like(length), torch.full_like(length, torch.inf)
        for _ in range(8):
            point = self.evaluate(length, step, along)
            enough = (point.slope.abs() <= 0.1 * start.abs()) | uphill
            if bool(enough.all()):
                break
            downhill = point.slope < 0
            floor = torch.where(downhill, length, floor)
            ceiling = torch.where(downhill, ceiling, length)
            proposal = length - point.slope / point.bend.clamp_min(1e-30)
            outside = (proposal <= floor) | (proposal >= ceiling)
            middle = torch.where(ceiling.isinf(), 2 * length, (floor + ceiling) / 2)
            length = torch.where(enough, length, torch.where(outside, middle, proposal))
        self.weights += length[:, None, None] * step
        self.logits.addcmul_(along, length[:, None, None].expand_as(along))
        self.point = point

    def evaluate(self, length: Tensor, step: Tensor, along: Tensor) -> _Point:
        """Return the point at a length (m,) of a step whose logits are `along`."""
        weights = self.weights + length[:, None, None] * step
        logits = torch.addcmul(self.logits, along, length[:, None, None].expand_as(along))
        peak = logits.amax(1, keepdim=True)
        if self.present is not None:
            peak.clamp_min_(0)
        missed = peak - self.at_truth(logits)
        probabilities = logits.sub_(peak).exp_()
        total = probabilities.sum(1, keepdim=True)
        if self.present is not None:
            total += (-peak).exp_()
        loss = ((total.log() + missed)[:, 0] * self.masks).sum(1, dtype=torch.float64)
        probabilities.mul_(self.masks[:, None] / total)
        weighted = probabilities * along
        drift = weighted.sum(1)
        sizes = self.sizes[:, 0, 0]
        slope = (drift - self.at_truth(along)[:, 0] * self.masks).sum(1)
        bend = weighted.mul_(along).sum((1, 2)) - drift.square().sum(1)
        return _Point(
            objective=loss / sizes + 0.5 * dot(self.ridge * weights, weights),
            slope=slope / sizes + dot(self.ridge * weights, step),
            bend=bend / sizes + dot(self.ridge * step, step),
            probabilities=probabilities,
        )

    def store(self) -> None:
        """Hand weights and objectives of all problems still held to their owner."""
        self.problems.weights[self.members] = self.weights
        self.problems.objectives[self.members] = self.point.objective

    def narrow(self, keep: Tensor) -> None:
        """Go on with some of the problems."""
        self.select(self.members[keep])
        self.weights, self.logits = self.weights[keep], self.logits[keep]
        point = self.point
        self.point = _Point(point.objective[keep], point.slope[keep], point.bend[keep], point.probabilities[keep])


@dataclass
class _Kronecker:
    """The inverse of a matrix that is diagonal, `values` (m, c, r + 1), in the classes' eigenbasis (m, c, c)."""

    vectors: Tensor
    values: Tensor
    relative: bool  # whether the same added to all classes changes nothing

    def __call__(self, gradient: Tensor) -> Tensor:
        found = self.vectors @ (self.vectors.transpose(1, 2) @ gradient).div_(self.values)
        # Rounding must not wander off where nothing changes.
        return found.sub_(found.mean(1, keepdim=True)) if self.relative else found


class _ErrorBound:
    """What m runs of conjugate gradients are still missing: the Gauss-Radau bound of Meurant and Tichý (2013).

    It takes a number below all eigenvalues, here the smallest that the runs have shown so far, times MARGIN. So it is
    an estimate, not a guarantee.
    """

    def __init__(self, flattest: NDArray[np.float64]) -> None:
        self.flattest = flattest
        self.factors = 1 / flattest  # of the residual's energy, to bound twice what is missing
        self.lengths: list[NDArray[np.float64]] = []
        self.ratios: list[NDArray[np.float64]] = []
        self.missing = np.full_like(flattest, np.inf)

    def all_within(self, length: Tensor, ratio: Tensor, energy: Tensor, allowed: Tensor) -> bool:
        """Take the coefficients of one iteration, (m,) each, and say whether all are missing no more than allowed."""
        numbers = torch.stack([length.double(), ratio.double(), energy.double(), allowed.double()]).cpu().numpy()
        self.lengths.append(numbers[0].clip(1e-30))
        self.ratios.append(numbers[1].clip(0))
        self.advance(-1)
        self.missing = 0.5 * self.factors * numbers[2].clip(0)
        if np.all((self.missing > numbers[3]) & (self.factors > 0)):
            return False
        smallest = MARGIN * self.smallest()
        if np.any(smallest < self.flattest):
            self.flattest = np.minimum(smallest, self.flattest)
            self.factors = 1 / self.flattest
            for position in range(len(self.lengths)):
                self.advance(position)
            self.missing = 0.5 * self.factors * numbers[2].clip(0)
        return bool(np.all(self.missing <= numbers[3]))

    def advance(self, position: int) -> None:
        """Carry the factors on by one iteration; they end below 0 where an eigenvalue is smaller than thought."""
        rest = self.factors - self.lengths[position]
        below = self.flattest * rest + self.ratios[position]
        self.factors = np.where((rest > 0) & (self.factors > 0), rest / below.clip(1e-300), -1.0)

    def smallest(self) -> NDArray[np.float64]:
        """Return the smallest eigenvalue of each run's tridiagonal matrix (Golub and Van Loan 2013, 11.3.4)."""
        lengths, ratios = np.stack(self.lengths, 1), np.stack(self.ratios, 1)[:, :-1]
        matrices = np.zeros((*lengths.shape, lengths.shape[1]))
        position = np.arange(lengths.shape[1])
        matrices[:, position, position] = 1 / lengths
        matrices[:, position[1:], position[1:]] += ratios / lengths[:, :-1]
        matrices[:, position[1:], position[:-1]] = np.sqrt(ratios) / lengths[:, :-1]
        return np.linalg.eigvalsh(matrices)[:, 0].clip(1e-6)


def dot(left: Tensor, right: Tensor) -> Tensor:
    """Return the scalar product of each problem, (m, c, r) twice to (m,)."""
    return (left * right).sum((1, 2))


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, ascending, and eigenvectors of a symmetric matrix, in its own precision.

    LAPACK's divide and conquer has failed in single precision on real features that are nearly dependent; in double
    precision, at about twice the time, it found them.
    """
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except torch.linalg.LinAlgError:
        values, vectors = (part.to(matrix.dtype) for part in torch.linalg.eigh(matrix.double()))
    return values, vectors
