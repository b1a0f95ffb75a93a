"""What to measure next, on curves whose law and times are known."""

from dataclasses import replace

import numpy as np
import pytest
from tests.findings import test_findings as made

from scaling.core.curves import Point, curves_of
from scaling.findings import Settings, find
from scaling.findings.classes import samples_behind
from scaling.findings.next_steps import MOST_CURVES, WORTH, Timing, sizes

POOL = 60_000
POINT = Point(
    "c", "net", "made", "probe", 1, "1", 0, "accuracy", 1.0, 0.0, "", "", pool=POOL, machine="a machine"
)  # fmt: skip


class Unread:
    def of(self, point, metric):
        return None


def point(n, seed, score, model="net", **metrics):
    seconds = 2 + n / 1000 + n / 500
    return replace(
        POINT, curve_id=model, model=model, n=n, n_requested=str(n), seed=seed, test_score=score,
        test_low=score - 0.01, test_high=score + 0.01, fingerprint=f"{model}{n}{seed}", run_id=f"{model}{n}{seed}",
        seconds=seconds, metrics={"features_computed": n, "time/features_of_train_s": n / 500, **metrics},
    )  # fmt: skip


def curve(model="net", ns=(1000, 4000, 16_000), level=0.1, b=2.0, seeds=(0, 1, 2)):
    draw = np.random.default_rng(len(model))
    return [point(n, s, 1 - level - b * n**-0.4 + draw.normal(0, 0.003), model) for n in ns for s in seeds]


def test_open_answers_name_what_would_narrow_them_with_its_time():
    found = find(curves_of(curve()), Unread(), Settings(targets=(0.88,)))
    assert 0 < len(found.steps) <= 3
    measured = {(p.n, p.seed) for p in curve()}
    for step in found.steps:
        assert step.n <= POOL
        assert not measured & {(step.n, seed) for seed in step.seeds}
        assert all(share >= WORTH for share in step.narrowing.values())
        assert step.text.startswith(f"n = {step.n:,}, {len(step.seeds)} seed")
    rates = [step.rate for step in found.steps]
    assert rates == sorted(rates, reverse=True)
    assert max(step.n for step in found.steps) > 16_000  # what lies ahead tells most


def test_the_whole_set_is_measured_once():
    assert all(len(step.seeds) == 1 for step in find(curves_of(curve()), Unread()).steps if step.n == POOL)


def test_times_are_a_line_over_n_and_features_that_are_new():
    seconds = Timing(curves_of(curve())[0])
    assert seconds(32_000, 2) == pytest.approx(2 * (2 + 32) + 16_000 / 500, rel=1e-6)
    assert seconds(8000, 1) == pytest.approx(2 + 8, rel=1e-6)
    untimed = [replace(p, seconds=None) for p in curve()]
    assert Timing(curves_of(untimed)[0])(8000, 1) is None
    assert find(curves_of(untimed), Unread()).steps[0].seconds is None


def test_sizes_keep_away_from_measured_ones_and_within_the_pool():
    found = sizes([1000, 4000, 16_000], POOL)
    assert max(found) == POOL
    assert min(found) >= 500
    assert all(max(n / m, m / n) > 1.1 for n in found for m in (1000, 4000, 16_000))
    assert sizes([POOL], POOL)


def test_two_curves_that_can_not_be_told_apart_ask_for_each_other():
    both = made.points("one", made.GOOD, pool=20_000) + made.points("two", made.GOOD, pool=20_000)
    found = find(curves_of(both), made.Store(), Settings(labels=(1000,)))
    assert any("ranking at n = 20,000" in step.narrowing for step in found.steps)


@pytest.mark.parametrize("points", [curve(ns=(1000, 4000)), [replace(p, pool=None) for p in curve()]])
def test_without_a_trend_or_a_pool_nothing_is_proposed(points):
    assert find(curves_of(points), Unread()).steps == ()


def test_of_many_curves_nothing_is_proposed():
    many = [p for i in range(MOST_CURVES + 1) for p in curve(f"net{i}", seeds=(0,))]
    assert find(curves_of(many), Unread()).steps == ()


# ---- classes ------------------------------------------------------------------------------------------------------

#: Test samples of each class, and its error over n: the rare one has 12.
CLASSES = {"grows": (4000, lambda n: 4 * n**-0.3), "flat": (1000, lambda n: 0.3), "rare": (12, lambda n: 4 * n**-0.3)}


def with_classes(seed=0):
    draw = np.random.default_rng(seed)
    for n in (500, 1000, 2000, 4000, 8000, 16_000):
        hits = {f"test/class_accuracy/{c}": 1 - draw.binomial(m, min(e(n), 1)) / m for c, (m, e) in CLASSES.items()}
        yield point(n, 0, float(np.mean(list(hits.values()))), **hits)


def test_a_class_that_grows_one_that_is_flat_and_one_with_12_samples_are_told_apart():
    rows = find(curves_of(with_classes()), Unread(), Settings(threshold=0.03)).classes
    lights = {row.name: row.light for row in rows}
    assert lights == {"grows": "grows", "flat": "flat", "rare": "too few to tell"}
    assert {row.name: row.tested for row in rows} == {name: m for name, (m, _) in CLASSES.items()}
    known = [row.gain for row in rows if row.gain is not None]
    assert known == sorted(known, reverse=True)
    grows = next(row for row in rows if row.name == "grows")
    assert grows.gain_low <= CLASSES["grows"][1](16_000) - CLASSES["grows"][1](32_000) <= grows.gain_high
    assert grows.low <= grows.double <= grows.high


def test_lights_are_right_about_curves_of_a_known_law():
    asked = Settings(threshold=0.03)
    found = [row for seed in range(8) for row in find(curves_of(with_classes(seed)), Unread(), asked).classes]
    assert sum(row.light == "flat" for row in found if row.name == "grows") == 0
    assert sum(row.light == "grows" for row in found if row.name == "flat") <= 1
    assert sum(row.light == "too few to tell" for row in found if row.name == "rare") >= 6


def test_three_sizes_are_the_fewest_and_a_class_that_is_always_right_is_no_evidence():
    few = list(with_classes())[:2]
    assert {row.light for row in find(curves_of(few), Unread()).classes} == {"too few to tell"}
    right = [replace(p, metrics={**p.metrics, "test/class_accuracy/right": 1.0}) for p in with_classes()]
    row = next(row for row in find(curves_of(right), Unread()).classes if row.name == "right")
    assert (row.tested, row.light, row.gain) == (None, "too few to tell", None)


def test_the_number_of_samples_behind_shares():
    assert samples_behind([5 / 12, 0.5, 2 / 3]) == 12
    assert samples_behind([0.0, 1.0]) == 1


def test_a_sweep_without_classes_has_none():
    assert find(curves_of(curve()), Unread()).classes == ()
