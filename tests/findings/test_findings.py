"""What `find` says of made-up sweeps whose truth is known."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from scaling.core.comparisons import mcnemar
from scaling.core.curves import Point, curves_of
from scaling.core.errors import SettingError
from scaling.findings import Settings, find
from scaling.findings.orders import rank_table
from scaling.metrics import metric_of
from scaling.metrics.classification import Predictions, measure, scored
from scaling.metrics.stored import Samples, hash_of

SIZES = (50, 100, 200, 400, 800, 1600)
TESTED, CLASSES = 400, 4
LABELS = np.random.default_rng(99).integers(0, CLASSES, TESTED)
HARD = np.random.default_rng(98).random(TESTED)


NAMES = ("a", "b", "c", "d")


def falling(a, b, c):
    return lambda n: a + b * n**-c


GOOD, POOR, LATE = falling(0.02, 2, 0.6), falling(0.15, 2, 0.6), falling(0.0, 5, 0.5)


class Store:
    """Values of test samples, made from a point's error; counts who asks."""

    def __init__(self, missing=()):
        self.asked, self.missing = Counter(), missing

    def of(self, point, metric):
        self.asked[point.run_id] += 1
        if point.model in self.missing:
            return None
        return sampled(predicted(point.model, point.seed, point.n, point.error), metric)


def sampled(test, metric):
    values = measure(test, NAMES).samples.get(metric.name)
    return None if values is None else Samples(values.astype(np.float32), hash_of(test.labels))


class Made(Point):
    """A point that remembers its true error."""

    @property
    def error(self):
        return self.metrics["made/error"]


def predicted(model, seed, n, error):
    rng = np.random.default_rng([seed, n, sum(map(ord, model))])
    # Hard samples are hard for all: a mixture of the sample's own difficulty and of chance.
    wrong = np.argsort(np.argsort(HARD + 0.4 * rng.random(TESTED))) >= round(TESTED * (1 - error))
    output = np.where(wrong, (LABELS + 1) % CLASSES, LABELS)
    return Predictions(LABELS, output, np.log(np.where(wrong, 0.2, 0.9)).astype(np.float32))


def points(model, error, sizes=SIZES, seeds=(0, 1, 2), draw=0.004, dataset="made", **changes):
    found = []
    for n in sizes:
        for seed in seeds:
            rng = np.random.default_rng([seed, n, sum(map(ord, model)), 7])
            true = float(np.clip(error(n) + draw * rng.standard_normal(), 0, 1))
            test = predicted(model, seed, n, true)
            logged = scored(test, test, NAMES)
            metrics = {**logged.metrics(), "train/accuracy": 1.0, "made/error": true, "time/fit_s": n / 100}
            metrics |= {"time/load_s": 5.0, "time/features_of_test_s": 2.0 if seed == 0 else 0.0}
            settings = {"model.name": model, "model.pretrained": "True", **changes.get("settings", {})}
            found.append(
                Made(
                    curve_id=f"{dataset}-{model}",
                    model=model,
                    dataset=dataset,
                    adaptation="probe",
                    n=n,
                    n_requested=str(n),
                    seed=seed,
                    metric="accuracy",
                    train_score=1.0,
                    test_score=logged.test_score,
                    fingerprint=f"{dataset}{model}{n}{seed}",
                    run_id=f"{dataset}{model}{n}{seed}",
                    test_low=logged.intervals["accuracy"][0],
                    test_high=logged.intervals["accuracy"][1],
                    pool=changes.get("pool"),
                    settings=settings,
                    metrics=metrics | changes.get("metrics", {}),
                    seconds=9.0,
                    machine="a machine",
                )
            )
    return found


THREE = points("good", GOOD) + points("poor", POOR) + points("late", LATE)


@pytest.fixture(scope="module")
def store():
    return Store()


@pytest.fixture(scope="module")
def three(store):
    return find(curves_of(THREE), store, Settings(targets=(0.9,), labels=(1000,)))


def statement(findings, model, kind):
    curve = next(curve for curve in findings.curves if curve.curve_id.endswith(model))
    return next(item for item in curve.statements if item.kind == kind)


def test_every_curve_has_every_statement(three):
    kinds = ["trend", "local_exponent", "asymptote", "saturation", "data_requirement"]
    kinds += ["collection_plan", "marginal_value", "limit"]
    for curve in three.curves:
        assert [item.kind for item in curve.statements] == kinds
        assert all(item.text for item in curve.statements)
    assert statement(three, "good", "trend").told
    assert statement(three, "good", "data_requirement").details["target"] == 0.9
    exponent = statement(three, "late", "local_exponent")
    assert exponent.low <= 0.5 <= exponent.high


def test_a_forecast_reaches_from_the_smallest_n_to_eight_times_the_largest(three):
    for curve in three.curves:
        ahead = curve.forecast
        assert ahead.n[0] == pytest.approx(50)
        assert ahead.n[-1] == pytest.approx(8 * 1600)
        assert (ahead.low90 <= ahead.low50).all()
        assert (ahead.low50 <= ahead.error).all()
        assert (ahead.error <= ahead.high50).all()
        assert (ahead.high50 <= ahead.high90).all()
        assert curve.caution_from == 4 * 1600
    late = next(curve for curve in three.curves if curve.curve_id.endswith("late"))
    at = np.interp(4 * 1600, late.forecast.n, late.forecast.error)
    assert at == pytest.approx(LATE(4 * 1600), abs=0.03)


def test_each_run_is_asked_for_once(three, store):
    assert set(store.asked.values()) == {1}
    assert len(store.asked) == len(THREE)


def test_the_two_sources_of_variance_are_told_apart():
    found = find(curves_of(points("calm", POOR, draw=0.0) + points("wild", POOR, draw=0.06)), Store())
    calm, wild = ([row.draw for row in curve.variance] for curve in found.curves)
    assert np.mean(wild) == pytest.approx(0.06, rel=0.35)
    assert np.mean(calm) < 0.01
    for row in found.curves[0].variance:
        assert row.test == pytest.approx(np.sqrt(row.mean * (1 - row.mean) / TESTED), rel=0.05)
        assert row.low < row.mean < row.high


def test_what_is_better_is_told(three):
    at = {(item.n, item.a[5:], item.b[5:]): item for item in three.comparisons}
    assert len(three.comparisons) == len(SIZES) * 3
    best = at[1600, "good", "poor"]
    assert (best.verdict, best.seeds, best.tested, len(best.mcnemar)) == ("a", 3, TESTED, 3)
    assert best.mcnemar_merged == pytest.approx(2 * np.mean(best.mcnemar))
    assert best.low < best.difference < best.high
    assert best.p < best.p_adjusted < 0.05
    assert best.text.startswith("At n = 1600 good made probe is better than poor made probe by +0.1")


def test_two_curves_of_one_truth_cannot_be_told_apart():
    found = find(curves_of(points("one", POOR) + points("other", POOR)), Store())
    assert [item.verdict for item in found.comparisons] == ["open"] * 6
    text = found.comparisons[0].text
    assert text.startswith("At n = 50 one made probe and other made probe cannot be told apart: they differ by ")
    assert "corrected for 6 comparisons" in text
    assert not any(item.told for item in found.crossovers)


def test_comparisons_do_not_depend_on_the_order_of_points(three):
    shuffled = [THREE[i] for i in np.random.default_rng(0).permutation(len(THREE))]
    again = find(curves_of(shuffled), Store(), Settings(targets=(0.9,), labels=(1000,)))
    assert again.as_dict() == three.as_dict()


def test_ranks_and_the_crossover(three):
    (ranked,) = three.ranks
    assert ranked.n == SIZES
    table = dict(zip(ranked.curves, ranked.ranks, strict=True))
    assert table["made-good"] == (1,) * 6
    assert table["made-late"][0] == 3
    assert table["made-late"][-1] == 2
    assert ranked.concordance < 1
    assert min(ranked.tau) < 1
    assert ranked.text.startswith("By its mean good made probe ranks first at every n.")
    (crossed,) = three.crossovers
    assert (crossed.a, crossed.b, crossed.told) == ("made-poor", "made-late", True)
    n = np.geomspace(50, 1600, 10_000)
    truth = n[np.argmin(np.abs(LATE(n) - POOR(n)))]
    assert crossed.low <= truth <= crossed.high
    assert crossed.text.startswith("late made probe overtakes poor made probe at about n = ")


def test_the_gap_is_that_of_the_runs_with_an_interval_around_it(three):
    for curve in three.curves:
        for row in curve.gaps:
            assert row.gap == pytest.approx(row.test - row.train)
            assert row.low < row.gap < row.high
            assert row.how == "seeds paired, and the shared test samples"


def test_costs_are_those_of_fitting(three):
    cost = next(item for item in three.costs if item.n == 200)
    assert (cost.fit_seconds, cost.feature_seconds, cost.seconds) == (2.0, pytest.approx(2 / 3), 9.0)
    scores = [p.test_score for p in THREE if p.curve_id == cost.curve_id and p.n == 200]
    assert cost.per_hour == pytest.approx(np.mean(scores) * 1800)
    assert cost.machine == "a machine"


def test_all_of_it_becomes_json(three):
    text = json.dumps(three.as_dict(), allow_nan=False)
    back = json.loads(text)
    assert back["metric"]["name"] == "test/accuracy"
    assert len(back["curves"][0]["forecast"]["n"]) == len(back["curves"][0]["forecast"]["low90"])


def test_a_loss_is_better_when_lower():
    found = find(curves_of(points("good", GOOD) + points("poor", POOR)), Store(), Settings(metric="nll"))
    last = next(item for item in found.comparisons if item.n == 1600)
    assert last.difference < 0
    assert last.verdict == "a"
    assert last.mcnemar == ()
    assert found.ranks[0].ranks[0] == (1,) * 6
    assert found.costs[0].per_hour is None
    assert found.curves[0].variance[0].mean == pytest.approx(-np.log(0.9) + 0.0, abs=0.5)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1"])
def test_other_metrics_take_its_place(metric):
    found = find(curves_of(points("good", GOOD) + points("poor", POOR)), Store(), Settings(metric=metric))
    last = next(item for item in found.comparisons if item.n == 1600)
    assert last.verdict == "a"
    assert last.difference == pytest.approx(POOR(1600) - GOOD(1600), abs=0.02)
    assert [row.gap for row in found.curves[0].gaps] == [0] * 6  # these runs took the test set for their train set


def test_a_metric_without_a_train_counterpart_or_predictions_that_tell_it():
    found = find(curves_of(points("good", GOOD) + points("poor", POOR)), Store(), Settings(metric="class_accuracy/a"))
    curve = found.curves[0]
    assert (curve.train_forecast, curve.gaps) == (None, ())
    assert "limit" not in [item.kind for item in curve.statements]
    refused = statement(found, "good", "saturation")
    assert (refused.told, refused.text.endswith("set a threshold.")) == (False, True)
    assert found.comparisons[-1].test == "seeds paired, test set as it is"


def test_without_predictions_seeds_have_to_do():
    curves = curves_of(points("good", GOOD) + points("poor", POOR))
    found = find(curves, Store(missing=("good", "poor")))
    last = next(item for item in found.comparisons if item.n == 1600)
    assert (last.tested, last.test, last.verdict) == (None, "seeds paired, test set as it is", "a")
    row = found.curves[0].variance[0]
    assert (row.draw, row.total, row.test_how) == (None, None, "width of the logged interval")
    assert row.test == pytest.approx(np.sqrt(row.mean * (1 - row.mean) / TESTED), rel=0.05)
    assert any("predictions can't be had" in note for note in found.notes)


def test_one_seed_without_predictions_tells_nothing_and_says_so():
    made = points("good", GOOD, seeds=(0,)) + points("late", LATE, seeds=(0,))
    found = find(curves_of(made), Store(missing=("good",)))
    for item in found.comparisons:
        assert (item.p, item.p_adjusted, item.verdict) == (None, None, "open")
        assert "cannot be compared" in item.text


def test_one_seed_with_predictions_is_mcnemars_test():
    found = find(curves_of(points("good", GOOD, seeds=(0,)) + points("poor", POOR, seeds=(0,))), Store())
    last = next(item for item in found.comparisons if item.n == 1600)
    assert last.p == last.mcnemar[0]
    assert last.test.startswith("McNemar, exact")
    assert found.curves[0].variance[0].draw_how == "cannot be told from one seed"
    assert found.curves[0].gaps[0].how.startswith("one measurement")


def test_seeds_that_share_the_whole_training_set_are_no_draws():
    made = points("good", GOOD, pool=1600)
    same = [p if p.n < 1600 else replace(p, test_score=0.97, metrics=last.metrics) for p in made for last in made[-1:]]
    store = Store()
    store.of = lambda point, metric: (
        sampled(predicted("good", 0, 1600, 0.03), metric) if point.n == 1600 else Store().of(point, metric)
    )
    found = find(curves_of(same), store)
    row = found.curves[0].variance[-1]
    assert (row.seeds, row.draw) == (3, None)
    assert row.draw_how.startswith("no draw variance")
    assert row.total == pytest.approx(row.test)
    # Three equal runs are one measurement: the trend counts 5 sizes of 3 and one of 1.
    assert statement(found, "good", "trend").details["pairs"] == 10 * 9 + 15


def test_draws_that_change_nothing_have_a_variance_of_zero_and_not_an_unknown_one():
    made = points("as_is", lambda n: 0.3, draw=0.0)
    same = [replace(p, test_score=made[0].test_score, metrics=made[0].metrics) for p in made]
    store = Store()
    store.of = lambda point, metric: sampled(predicted("as_is", 0, 50, 0.3), metric)
    row = find(curves_of(same), store).curves[0].variance[0]
    assert row.draw == 0
    assert row.total == pytest.approx(row.test, rel=0.01)


def test_curves_of_two_data_sets_are_never_compared():
    made = points("good", GOOD) + points("poor", POOR, dataset="other")
    found = find(curves_of(made), Store())
    assert found.comparisons == found.ranks == found.crossovers == ()


def test_curves_without_a_common_seed_are_left_out_and_counted():
    made = points("good", GOOD, seeds=(0, 1)) + points("poor", POOR, seeds=(2, 3))
    found = find(curves_of(made), Store())
    assert found.comparisons == ()
    assert "made: 6 pairs of curves share no seed at an n and are not compared there." in found.notes


def test_only_seeds_that_both_have_are_paired_each_with_its_own():
    made = points("good", GOOD, seeds=(0, 1, 2), draw=0.02) + points("poor", POOR, seeds=(1, 2, 5), draw=0.02)
    at = {(p.model, p.n, p.seed): p.test_score for p in made}
    for item in find(curves_of(made), Store()).comparisons:
        expected = [at["good", item.n, seed] - at["poor", item.n, seed] for seed in (1, 2)]
        assert item.seeds == 2
        assert item.difference == pytest.approx(np.mean(expected))
        exact = [mcnemar_of(made, item.n, seed) for seed in (1, 2)]
        assert item.mcnemar == pytest.approx(exact)


def mcnemar_of(made, n, seed):
    """McNemar's p of one seed, from the points' own predictions."""
    good, poor = (next(p for p in made if (p.model, p.n, p.seed) == (m, n, seed)) for m in ("good", "poor"))
    right = [Store().of(p, metric_of("accuracy")).values > 0.5 for p in (good, poor)]
    return mcnemar(*right)


def test_what_pre_training_gains():
    random = {"model.pretrained": "False", "model.init_seed": "0", "model.name": "net"}
    trained = {"model.pretrained": "True", "model.name": "net"}
    made = points("net", GOOD, settings=trained) + points("scratch", LATE, settings=random)
    found = find(curves_of(made + points("poor", POOR)), Store())
    (pair,) = found.pretraining
    assert (pair.a, pair.b) == ("made-net", "made-scratch")
    assert [row.n for row in pair.gains] == list(SIZES)
    first = pair.gains[1]
    assert first.low < LATE(100) - GOOD(100) < first.high
    assert pair.text.startswith("net made probe against scratch made probe, test accuracy: +")


def test_models_beside_their_sizes():
    sizes = {"one": 1e6, "two": 2e6, "four": 4e6}
    made = [
        point
        for i, (name, parameters) in enumerate(sizes.items())
        for point in points(
            name,
            falling(0.02 * (i + 1), 2, 0.6),
            metrics={"model/parameters": parameters, "model/flops": 10 * parameters},
        )
    ]
    found = find(curves_of(made + points("unknown", POOR)), Store()).complexity
    rows = {row.model: row for row in found.rows}
    assert {name: row.parameters for name, row in rows.items()} == {**sizes, "unknown": None}
    assert rows["four"].flops == 4e7
    low, high = rows["four"].bounds["exponent"]
    assert low < rows["four"].exponent < high
    assert rows["one"].exponent > 0
    relation = next(item for item in found.relations if (item.size, item.quantity) == ("parameters", "error"))
    assert (relation.models, relation.tau, relation.told) == (3, 1, False)
    assert "cannot be told from 3 models" in relation.text


def test_of_many_curves_each_is_compared_with_the_best_and_its_neighbours():
    made = [p for i in range(10) for p in points(f"m{i}", falling(0.02 * i, 2, 0.6), sizes=(400,), seeds=(0,), draw=0)]
    found = find(curves_of(made), Store())
    pairs = {frozenset((item.a[-1], item.b[-1])) for item in found.comparisons}
    wanted = {frozenset(("0", str(i))) for i in range(1, 10)} | {frozenset((str(i), str(i + 1))) for i in range(9)}
    assert pairs == wanted
    # Corrected as if all 45 pairs had been tested.
    smallest = min(found.comparisons, key=lambda item: item.p)
    assert smallest.p_adjusted == pytest.approx(45 * smallest.p)
    assert any("with its neighbours in rank" in note for note in found.notes)


@pytest.mark.parametrize(
    "odd",
    [
        points("one", GOOD, sizes=(50,)),
        points("two", GOOD, sizes=(50, 100), seeds=(0,)),
        points("flat", lambda n: 0.25, draw=0.0, seeds=(0,)),
        points("perfect", lambda n: 0.0, draw=0.0),
        points("hopeless", lambda n: 1.0, draw=0.0),
    ],
)
def test_ill_behaved_curves_are_answered_all_the_same(odd):
    found = find(curves_of(odd + points("good", GOOD)), Store(), Settings(targets=(0.9,)))
    json.dumps(found.as_dict(), allow_nan=False)
    assert len(found.curves) == 2
    assert all(np.isfinite(curve.forecast.error).all() for curve in found.curves)


def test_a_metric_that_only_some_runs_logged_leaves_the_others_out():
    bare = [replace(point, metrics={}) for point in points("bare", POOR)]
    found = find(curves_of(points("good", GOOD) + bare), Store(), Settings(metric="macro_f1"))
    assert [curve.curve_id for curve in found.curves] == ["made-good"]
    assert "test/macro_f1 was not logged by the runs of bare made probe." in found.notes
    with pytest.raises(SettingError, match="test/macro_f1: no run of these curves has it"):
        find(curves_of(bare), Store(), Settings(metric="macro_f1"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"targets": (1.0,)}, "1.0 of test/accuracy, expected a value above 0 and below 1"),
        ({"targets": (-0.1,)}, "expected a value above 0 and below 1"),
        ({"metric": "speed"}, "metric=speed"),
        ({"level": 0.7}, "level=0.7"),
        ({"threshold": 0.0}, "threshold=0.0"),
        ({"labels": (0,)}, r"labels=\[0\]"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(wrong, message):
    with pytest.raises(SettingError, match=message):
        find(curves_of(THREE), Store(), Settings(**wrong))


def test_curves_that_tie_for_the_first_rank_share_it():
    means = {10: {"a": 0.5, "b": 0.5}, 20: {"a": 0.6, "b": 0.7}}
    found = rank_table("made", means, metric_of("accuracy"), {"a": "first", "b": "second"})
    assert found.text.startswith("By its mean ranks first: first and second (equal) at n = 10; second at n = 20.")


def test_one_seed_says_that_other_draws_are_not_counted_for_any_metric():
    made = [
        replace(point, metrics={**point.metrics, "test/nll": 0.5})
        for point in points("good", GOOD, seeds=(0,)) + points("poor", POOR, seeds=(0,))
    ]
    for metric in ("accuracy", "nll"):
        found = find(curves_of(made), Store(), Settings(metric=metric))
        assert all("One measurement each" in item.text for item in found.comparisons)


def test_a_crossover_of_single_seeds_says_so():
    found = find(curves_of(points("late", LATE, seeds=(0,)) + points("poor", POOR, seeds=(0,))), Store())
    assert [item.text.endswith("other draws are not counted.") for item in found.crossovers] == [True]


def test_errors_are_put_beside_sizes_at_an_n_that_all_curves_have():
    made = points("one", GOOD, metrics={"model/parameters": 1.0}) + points(
        "two", GOOD, sizes=SIZES[:3], metrics={"model/parameters": 2.0}
    )
    found = find(curves_of(made), Store())
    means = {row.n: row.mean for curve in found.curves if curve.label.startswith("one") for row in curve.variance}
    rows = {row.model: row for row in found.complexity.rows}
    assert rows["one"].error == pytest.approx(1 - means[SIZES[2]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": (float("inf"),)}, "expected finite numbers above 0"),
        ({"labels": (float("nan"),)}, "expected finite numbers above 0"),
        ({"metric": "train/accuracy"}, "Take metric=test/accuracy"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, message):
    with pytest.raises(SettingError, match=message):
        find(curves_of(points("good", GOOD)), Store(), Settings(**changes))


class Small(Store):
    """Predictions on the first samples of the test set alone."""

    def __init__(self, tested):
        super().__init__()
        self.tested = tested

    def of(self, point, metric):
        whole = predicted(point.model, point.seed, point.n, point.error)
        parts = (whole.labels, whole.predicted, whole.log_prob)
        return sampled(Predictions(*(part[: self.tested] for part in parts)), metric)


def test_a_small_test_set_is_named_where_it_cannot_tell():
    found = find(curves_of(points("fall", falling(0.0, 2, 0.35))), Small(60), Settings(targets=(0.8,)))
    said = statement(found, "fall", "saturation")
    assert not said.told
    assert "that 60 test samples can measure; about " in said.text
    assert said.text.startswith("Cannot be told from this test set")
    (row,) = found.complexity.rows
    assert row.saturation is None
    target = statement(found, "fall", "data_requirement")
    assert (target.told, target.text.endswith(" test samples would tell.")) == (False, True)
    assert target.text.startswith("Cannot be told from this test set: at n = 1,600 the error is 0.15")


def test_a_threshold_that_is_given_is_what_matters():
    found = find(curves_of(points("fall", falling(0.0, 2, 0.35))), Small(60), Settings(threshold=0.25))
    assert statement(found, "fall", "saturation").text.endswith("less than 0.2500.")


def test_how_many_test_samples_would_tell_two_curves_apart():
    made = points("one", falling(0.1, 2, 0.6), seeds=(0,)) + points("other", falling(0.12, 2, 0.6), seeds=(0,))
    items = [item for item in find(curves_of(made), Store()).comparisons if item.verdict == "open" and item.difference]
    assert items
    for item in items:
        words = item.text.rpartition("About ")[2]
        assert words.endswith(" test samples would tell such a difference.")
        needed = float(words.split()[0].replace(",", ""))
        half = (item.high - item.low) / 2 * norm.isf(0.025 / 6) / norm.isf(0.025)
        assert needed == pytest.approx(TESTED * (half / item.difference) ** 2, rel=0.01)
        assert needed > TESTED
    seeds = find(curves_of(points("one", POOR) + points("other", POOR)), Store()).comparisons
    assert not any("would tell" in item.text for item in seeds)


def test_a_lead_of_means_says_how_often_it_can_be_told(three):
    told = sum(
        any(
            item.n == n and {item.a, item.b} == {"made-good", second} and item.verdict != "open"
            for item in three.comparisons
        )
        for n, second in zip(SIZES, seconds(three.ranks[0]), strict=True)
    )
    assert three.ranks[0].text.endswith(f" The lead over the next curve can be told at {told} of 6 n.")
    same = find(curves_of(points("one", POOR) + points("other", POOR)), Store())
    assert same.ranks[0].text.endswith(" The lead over the next curve can be told at 0 of 6 n.")


def seconds(ranked):
    """The curve that ranks second at each n."""
    return [ranked.curves[[row[i] for row in ranked.ranks].index(2)] for i in range(len(ranked.n))]
