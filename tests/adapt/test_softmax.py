"""The solver against scikit-learn's, both judged in double precision by the objective that they share."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from scaling.adapt import newton, softmax
from scaling.adapt.softmax import fit, path
from scaling.core.subsets import stratified_folds
from scaling.tasks import Classification, Multilabel

PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]


def samples(n, d, classes=3, share=None, distance=1.0, seed=0):
    """Gaussian classes around random centres, at least five samples of each."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.repeat(np.arange(classes), 5), rng.choice(classes, n - 5 * classes, p=share)])
    centres = distance * rng.normal(size=(classes, d))
    return (centres[labels] + rng.normal(size=(n, d))).astype(np.float32), labels


def constant_columns():
    features, labels = samples(60, 12)
    features[:, [0, 5, 11]] = [0.0, 3.7, -250.0]
    return features, labels


def with_offset(features, labels):
    return features + np.float32(1e3), labels


def rows_twice():
    features, labels = samples(20, 80)
    return np.tile(features, (2, 1)), np.tile(labels, 2)


def common_factor(n, d):
    """Columns that are nearly one: the spectrum falls by 1e6 at once, and a fit has to follow the weak directions."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    weak = 0.01 * (rng.normal(size=(n, d)) + (0.2 * rng.normal(size=(3, d)))[labels])
    return (rng.normal(size=(n, 1)) + weak).astype(np.float32), labels


def digits():
    pixels, labels = load_digits(return_X_y=True)
    return (pixels[:60] / 16).astype(np.float32), labels[:60]


DATA = {
    "fewer rows than columns": samples(30, 80),
    "more rows than columns": samples(200, 10, classes=4),
    "imbalanced": samples(200, 10, share=[0.9, 0.07, 0.03]),
    "constant columns": constant_columns(),
    "offset of 1e3": with_offset(*samples(120, 12)),
    # Centred rows are linearly dependent: where there are fewer of them than columns, directions are left over.
    "offset of 1e3, fewer rows than columns": with_offset(*samples(30, 80)),
    "each row twice, fewer than columns": rows_twice(),
    "digits, fewer than pixels": digits(),
    "common factor, fewer rows than columns": common_factor(200, 300),
    "common factor": common_factor(200, 50),
    "in units of 1e-8": (samples(60, 12)[0] * np.float32(1e-8), samples(60, 12)[1]),
}


def scales(features):
    """Mean and scale of each column in double precision; 1 for constant columns."""
    exact = features.astype(np.float64)
    constant = np.ptp(exact, axis=0) == 0
    return exact.mean(0), np.where(constant, 1.0, exact.std(0))


def standardised(features):
    mean, std = scales(features)
    return (features.astype(np.float64) - mean) / std


def objective(weight, bias, features, labels, penalty):
    """The objective of the module's docstring, for a head (outputs, d) over standardised features."""
    probability = torch.log_softmax(torch.from_numpy(standardised(features) @ weight.T + bias), dim=1).numpy()
    loss = -probability[np.arange(len(labels)), labels].mean()
    return loss + np.square(weight).sum() / (2 * penalty * len(labels))


def head_over_standardised(fitted, features):
    mean, std = scales(features)
    weight, bias = fitted.weight.double().numpy(), fitted.bias.double().numpy()
    return weight * std, bias + weight @ mean


def scikit_learn(features, labels, penalty):
    return LogisticRegression(C=penalty, tol=1e-9, max_iter=20_000).fit(features, labels)


def truth(labels):
    return torch.from_numpy(labels), Classification(tuple(map(str, range(labels.max() + 1))))


def run(data, penalties=PENALTIES, folds=5, **settings):
    features, labels = data
    assigned = None if folds is None else torch.from_numpy(stratified_folds(labels, folds, 0))
    return fit(torch.from_numpy(features.copy()), *truth(labels), penalties, assigned, **settings)


def excess(fitted, data, penalty):
    """By what share the objective exceeds scikit-learn's."""
    features, labels = data
    reference = scikit_learn(standardised(features), labels, penalty)
    lowest = objective(reference.coef_, reference.intercept_, features, labels, penalty)
    return objective(*head_over_standardised(fitted, features), features, labels, penalty) / lowest - 1


@pytest.mark.parametrize("name", DATA)
def test_the_chosen_penalty_is_solved_as_closely_as_by_scikit_learn(name):
    fitted = run(DATA[name])
    found = excess(fitted, DATA[name], PENALTIES[fitted.chosen])
    assert abs(found) <= 1e-4
    assert all(fitted.converged)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("penalty", [1e-4, 1.0, 10.0])
def test_any_penalty_is_solved_as_closely_as_by_scikit_learn(name, penalty):
    found = excess(run(DATA[name], [penalty], folds=None), DATA[name], penalty)
    assert abs(found) <= 1e-4


def nearly_twice():
    features, labels = samples(300, 40, classes=5)
    features[:, 20:] = features[:, :20] * (1 + 1e-3 * features[:, 20:])  # badly conditioned in any scaling
    return features, labels


def a_class_missing():
    features, labels = samples(120, 30, classes=4)
    return features[labels != 2], labels[labels != 2]


def many_digits():
    pixels, labels = load_digits(return_X_y=True)
    return (pixels[:1000] / 16).astype(np.float32), labels[:1000]


PATH = [float(penalty) for penalty in np.logspace(-5, 0, 13)]
SHAPES = {
    **{name: DATA[name] for name in ("fewer rows than columns", "imbalanced", "digits, fewer than pixels")},
    "overlapping": samples(400, 50, classes=6, distance=0.15),
    "columns nearly twice": nearly_twice(),
    "two classes": samples(150, 20, classes=2, distance=0.2),
    "twenty classes": samples(500, 60, classes=20, distance=0.5),
    "digits": many_digits(),
}


def optima(features, labels, penalties):
    """The lowest objectives by scikit-learn, in double precision, warm-started along the path."""
    scaled = standardised(features)
    model = LogisticRegression(solver="newton-cg", warm_start=True, tol=1e-7, max_iter=1000)
    for penalty in penalties:
        # Of two classes scikit-learn fits one weight vector: see the test of two classes.
        model.set_params(C=penalty * (2 if labels.max() == 1 else 1)).fit(scaled, labels)
        weight, bias = model.coef_, model.intercept_
        if labels.max() == 1:
            weight, bias = (np.concatenate([-part, part]) / 2 for part in (weight, bias))
        yield objective(weight, bias, features, labels, penalty)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("tolerance", [1e-4, 1e-5])
def test_every_penalty_of_a_path_is_as_close_to_the_optimum_as_asked(name, tolerance):
    features, labels = SHAPES[name]
    found = path(torch.from_numpy(features.copy()), *truth(labels), PATH, tolerance)
    mean, std = scales(features)
    lowest = list(optima(features, labels, PATH))
    for weight, bias, told, penalty, best in zip(
        found.weights.double().numpy(), found.biases.double().numpy(), found.objectives, PATH, lowest, strict=True
    ):
        reached = objective(weight * std, bias + weight @ mean, features, labels, penalty)
        assert -1e-6 <= reached / best - 1 <= tolerance, penalty
        assert float(told) == pytest.approx(reached, rel=3e-6)
    assert all(found.converged)


def test_a_class_that_has_no_rows_does_not_keep_a_path_from_its_optimum():
    features, labels = a_class_missing()
    found = path(torch.from_numpy(features.copy()), *truth(labels), PATH)
    present = np.array([0, 1, 3])
    lowest = list(optima(features, np.searchsorted(present, labels), PATH))
    assert all(found.converged)
    np.testing.assert_allclose(found.objectives.numpy(), lowest, rtol=1.5e-4)


def test_two_classes_share_the_penalty_of_scikit_learns_single_weight_vector():
    # Its binary head has one vector w, ours the pair -w/2 and w/2 with half the squared norm: C here is 2 C there.
    features, labels = samples(80, 6, classes=2)
    weight, bias = head_over_standardised(run((features, labels), [0.1], folds=None), features)
    reference = scikit_learn(standardised(features), labels, 0.2)
    np.testing.assert_allclose(weight[1] - weight[0], reference.coef_[0], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(bias[1] - bias[0], reference.intercept_[0], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ["fewer rows than columns", "more rows than columns", "imbalanced"])
@pytest.mark.parametrize("fold", [0, 3])
def test_held_out_loss_and_accuracy_equal_a_plain_refit_of_the_fold(name, fold):
    features, labels = DATA[name]
    fitted = run(DATA[name], search_tolerance=1e-7)
    out = stratified_folds(labels, 5, 0) == fold
    scaled = standardised(features)
    for position, penalty in enumerate(PENALTIES):
        plain = scikit_learn(scaled[~out], labels[~out], penalty)
        expected = log_loss(labels[out], plain.predict_proba(scaled[out]), labels=plain.classes_)
        assert float(fitted.held_out_loss[position, fold]) == pytest.approx(expected, rel=2e-3)
        hits = plain.score(scaled[out], labels[out])
        assert float(fitted.held_out_hits[position, fold]) == pytest.approx(hits, abs=1.001 / out.sum())


def test_the_search_tolerance_moves_held_out_losses_far_less_than_folds_differ():
    loose, tight = (run(DATA["imbalanced"], search_tolerance=t).held_out_loss for t in (1e-4, 1e-7))
    assert float((loose - tight).abs().max()) < 0.05 * float(tight.std(dim=1).min())


def test_the_penalty_of_the_lowest_mean_held_out_loss_is_chosen():
    fitted = run(samples(90, 30, distance=0.25))
    means = fitted.held_out_loss.mean(1)
    assert fitted.chosen == int(means.argmin())
    assert 0 < fitted.chosen < len(PENALTIES) - 1  # a choice at an end would prove little


def test_of_equal_losses_the_stronger_penalty_is_chosen():
    data = np.zeros((20, 3), np.float32), np.arange(20) % 2  # nothing to learn from: all penalties are equal
    fitted = run(data, search_tolerance=1e-6)
    assert len(set(fitted.held_out_loss.mean(1).tolist())) == 1
    assert fitted.chosen == 0


def test_stop_ratio_leaves_out_penalties_beyond_the_first_that_loses_too_much():
    data, penalties = samples(60, 40, distance=0.25), [*PENALTIES, 10.0, 100.0]
    whole, cut = run(data, penalties), run(data, penalties, stop_ratio=1.1)
    means = whole.held_out_loss.mean(1)
    assert means.argmin() == 3
    assert 1.1 * means[3] < means[4] < means[0]  # it is the lowest that counts, not the first
    assert torch.equal(cut.held_out_loss, whole.held_out_loss[:5])
    assert torch.equal(cut.weight, whole.weight)


@pytest.mark.parametrize("stop_ratio", [float("inf"), 1.1])
@pytest.mark.parametrize("folds", [5, None])
def test_progress_ends_at_one_step_a_penalty_and_one_for_the_final_fit(stop_ratio, folds):
    steps = []
    run(samples(60, 40, distance=0.1), folds=folds, stop_ratio=stop_ratio, advance=steps.append)
    assert sum(steps) == len(PENALTIES) + 1


def test_iterations_and_convergence_are_told_for_each_penalty_tried_and_the_final_fit():
    fitted = run(DATA["more rows than columns"])
    assert len(fitted.iterations) == len(fitted.converged) == len(PENALTIES) + 1
    assert fitted.held_out_loss.shape == fitted.held_out_hits.shape == (len(PENALTIES), 5)


def test_too_few_iterations_are_told():
    # One product may be enough for the strongest penalties.
    assert run(DATA["more rows than columns"], max_iterations=1).converged[-3:] == [False] * 3


def test_without_folds_the_first_penalty_is_taken():
    data = DATA["more rows than columns"]
    fitted = run(data, [0.01, 1.0], folds=None)
    assert fitted.chosen == 0
    assert fitted.held_out_loss.numel() == 0
    assert abs(excess(fitted, data, 0.01)) <= 1e-4


def test_a_column_that_varies_by_rounding_alone_gets_no_weight_to_speak_of():
    features, labels = samples(60, 8)
    features[:, 2] = np.nextafter(np.float32(500), np.float32(600) * (labels > 0).astype(np.float32))
    fitted = run((features, labels), [1.0], folds=None)
    assert float(fitted.weight[:, 2].abs().max() * np.ptp(features[:, 2])) < 1e-3


@pytest.mark.parametrize("n", [1, 3])
def test_a_handful_of_rows_of_one_class_gives_finite_weights(n):
    fitted = run((np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32), np.zeros(n, int)), folds=None)
    assert bool(torch.isfinite(fitted.weight).all())
    assert bool(torch.isfinite(fitted.bias).all())


@pytest.mark.parametrize("name", ["fewer rows than columns", "imbalanced"])
def test_the_same_input_gives_the_same_bits(name):
    first, again = run(DATA[name]), run(DATA[name])
    for field in ("weight", "bias", "held_out_loss", "held_out_hits"):
        assert torch.equal(getattr(first, field), getattr(again, field))


@pytest.mark.parametrize("limit", ["LOGIT_ELEMENTS", "ROW_BLOCK"])
def test_results_depend_on_the_bounds_of_memory_by_rounding_alone(monkeypatch, limit):
    data = DATA["more rows than columns"]
    whole = run(data, search_tolerance=1e-6)
    for module in (newton, softmax):
        monkeypatch.setattr(module, limit, 7, raising=False)
    parts = run(data, search_tolerance=1e-6)
    assert parts.chosen == whole.chosen
    torch.testing.assert_close(parts.held_out_loss, whole.held_out_loss, rtol=1e-3, atol=1e-5)
    assert abs(excess(parts, data, PENALTIES[parts.chosen])) <= 1e-4


def test_decomposition_that_fails_in_single_precision_is_made_in_double(monkeypatch):
    decompose = torch.linalg.eigh

    def failing(matrix):
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return decompose(matrix)

    features, labels = samples(60, 12)

    def solve():
        return fit(torch.from_numpy(features.copy()), *truth(labels), [1e-2])

    expected = solve()
    monkeypatch.setattr(torch.linalg, "eigh", failing)
    found = solve()
    assert found.weight.dtype == torch.float32
    torch.testing.assert_close(found.weight, expected.weight, rtol=1e-3, atol=1e-4)


# ---- several labels a sample ------------------------------------------------------------------------------

LABELS = Multilabel(("rare", "common", "frequent", "never", "always"))


def several(n=160, d=6, seed=0):
    """Features in units of their own, and labels of which two are the same for all rows."""
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(n, d)) * 10.0 ** rng.integers(-2, 3, d) + 3).astype(np.float32)
    logits = standardised(features) @ rng.normal(size=(d, 3)) + [-2.5, -0.5, 1]
    has = rng.random((n, 3)) < 1 / (1 + np.exp(-logits))
    return features, np.column_stack([has, np.zeros(n), np.ones(n)]).astype(np.uint8)


@pytest.mark.parametrize("penalty", [1e-3, 1e-1, 1.0])
def test_each_label_is_solved_as_closely_as_by_scikit_learn_alone(penalty):
    features, has = several()
    fitted = fit(torch.from_numpy(features.copy()), torch.from_numpy(has), LABELS, [penalty], tolerance=1e-8)
    weight, bias = (part.double().numpy() for part in fitted.standardised[:2])
    assert weight.shape == (5, 6)
    for label in range(3):
        reference = scikit_learn(standardised(features), has[:, label], penalty)
        np.testing.assert_allclose(weight[label], reference.coef_[0], atol=2e-3 * np.abs(reference.coef_).max())
        assert bias[label] == pytest.approx(reference.intercept_[0], abs=2e-3)
    assert all(fitted.converged)


def test_a_label_that_all_rows_share_is_guessed_by_its_odds():
    features, has = several()
    fitted = fit(torch.from_numpy(features.copy()), torch.from_numpy(has), LABELS, [1.0])
    weight, bias = fitted.standardised[:2]
    assert not weight[3:].any()
    np.testing.assert_allclose(bias[3:], [np.log(0.5 / 160.5), np.log(160.5 / 0.5)], rtol=1e-5)


def test_the_penalty_is_chosen_by_the_mean_over_labels_of_the_held_out_loss():
    features, has = several()
    folds = stratified_folds(has, 4, 0)
    fitted = fit(
        torch.from_numpy(features.copy()), torch.from_numpy(has), LABELS, PENALTIES, torch.from_numpy(folds),
        search_tolerance=1e-8,
    )  # fmt: skip
    assert fitted.held_out_loss.shape == fitted.held_out_hits.shape == (len(PENALTIES), 4)
    assert fitted.chosen == int(fitted.held_out_loss.mean(1).argmin())
    scaled, out = standardised(features), folds == 2
    losses, hits = [], []
    for label in range(3):
        model = scikit_learn(scaled[~out], has[~out, label], PENALTIES[1])
        given = model.predict_proba(scaled[out])[:, 1]
        losses.append(log_loss(has[out, label], given, labels=[0, 1]))
        hits.append(np.mean((given > 0.5) == has[out, label]))
    inside = (~out).sum()
    losses += [-np.log((inside + 0.5) / (inside + 1))] * 2
    assert float(fitted.held_out_loss[1, 2]) == pytest.approx(np.mean(losses), rel=1e-3)
    assert float(fitted.held_out_hits[1, 2]) == pytest.approx(np.mean([*hits, 1, 1]), abs=0.5 / out.sum())


def test_labels_in_groups_give_what_labels_together_give(monkeypatch):
    features, has = several()
    folds = torch.from_numpy(stratified_folds(has, 4, 0))

    def found():
        fitted = fit(torch.from_numpy(features.copy()), torch.from_numpy(has), LABELS, PENALTIES, folds, tolerance=1e-8)
        return torch.cat([fitted.standardised[0].flatten(), fitted.standardised[1]])

    together = found()
    monkeypatch.setattr(newton, "LOGIT_ELEMENTS", 1)
    np.testing.assert_allclose(found(), together, atol=2e-3)


def test_a_class_that_outweighs_all_others_and_one_without_a_row_are_fitted():
    rng = np.random.default_rng(0)
    labels = np.zeros(3000, np.int64)
    labels[:60] = 1 + np.arange(60) % 20  # twenty classes of three rows, and a last one of none
    features = (rng.normal(size=(22, 40))[labels] + 0.5 * rng.normal(size=(3000, 40))).astype(np.float32)
    folds = np.arange(3000) // 20 % 3  # each of the twenty classes once
    found = fit(
        torch.from_numpy(features.copy()), torch.from_numpy(labels), Classification(tuple(map(str, range(22)))),
        PENALTIES, torch.from_numpy(folds),
    )  # fmt: skip
    assert all(found.converged)
    assert torch.isfinite(found.weight).all()
    assert float(found.held_out_loss.mean(1).min()) < 0.05
    assert (found.weight[21] == 0).all()
    weight, bias, mean, scale = found.standardised
    logits = (torch.from_numpy(features) - mean) / scale @ weight.T + bias
    rest = logits[:, :21].logsumexp(1)
    assert float((bias[21] - rest).mean()) == pytest.approx(np.log(0.5 / 3000), rel=1e-3)  # half a row's odds


def test_a_class_without_a_row_costs_held_out_rows_about_the_same_at_every_penalty():
    features, labels = samples(300, 8, classes=3)
    labels[:3] = 3  # the only rows of this class, all held out in one fold
    folds = np.where(np.arange(300) < 3, 0, np.arange(300) % 2)
    task = Classification(("a", "b", "c", "d"))
    found = fit(torch.from_numpy(features), torch.from_numpy(labels), task, PENALTIES, torch.from_numpy(folds))
    assert all(found.converged)
    dearer = (found.held_out_loss[:, 0] - found.held_out_loss[:, 1]) * 151 / 3
    assert float(dearer.max()) < 2 * np.log(2 * 150)
