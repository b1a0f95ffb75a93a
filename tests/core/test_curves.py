from dataclasses import replace

import numpy as np
import pytest

from scaling.core.curves import Curve, Point, curve_labels, curves_of, newest_by_fingerprint
from scaling.metrics.columns import COLUMNS, rows

POINT = Point(
    curve_id="c" * 32, model="net", dataset="digits", adaptation="knn", n=10, n_requested="10", seed=0,
    metric="accuracy", train_score=0.9, test_score=0.8, fingerprint="f0", run_id="r0",
)  # fmt: skip
BASE = "net digits knn"


def point(**changes):
    return replace(POINT, **changes)


def test_a_curve_is_named_by_model_data_set_and_adaptation():
    assert curve_labels([POINT]) == {POINT.curve_id: BASE}


def test_settings_are_left_out_of_the_label_where_the_names_suffice():
    points = [point(curve_id="a", settings={"k": "5"}), point(curve_id="b", model="other", settings={"k": "1"})]
    assert curve_labels(points) == {"a": BASE, "b": "other digits knn"}


def test_points_of_one_curve_share_its_label():
    points = [point(n=n, seed=seed, settings={"k": "5"}) for n in (10, 20) for seed in (0, 1)]
    assert curve_labels(points) == {POINT.curve_id: BASE}


def test_curves_of_one_name_are_told_apart_by_the_setting_in_which_they_differ():
    points = [
        point(curve_id=size, settings={"model.input_size": size, "precision": "32-true"}) for size in ("64", "96")
    ]
    assert curve_labels(points) == {"64": f"{BASE} input_size:64", "96": f"{BASE} input_size:96"}


def test_a_setting_that_only_one_curve_has_is_none_in_the_other():
    points = [point(curve_id="a", settings={"adaptation.k": "1"}), point(curve_id="b")]
    assert curve_labels(points) == {"a": f"{BASE} k:1", "b": f"{BASE} k:none"}


def test_several_differing_settings_follow_in_the_order_of_their_names():
    points = [
        point(curve_id="a", settings={"precision": "32-true", "adaptation.k": "1"}),
        point(curve_id="b", settings={"precision": "bf16-mixed", "adaptation.k": "5"}),
    ]
    assert curve_labels(points)["b"] == f"{BASE} k:5 precision:bf16-mixed"


def test_curves_of_the_same_settings_are_told_apart_by_the_start_of_their_id():
    ids = ["0123456789abcdef", "fedcba9876543210"]
    points = [point(curve_id=curve_id, settings={"k": "5"}) for curve_id in ids]
    assert curve_labels(points) == {ids[0]: f"{BASE} 01234567", ids[1]: f"{BASE} fedcba98"}


def test_the_newest_run_of_a_fingerprint_is_kept_and_repeats_are_counted():
    runs = [("f0", "new"), ("f1", "only"), ("f0", "older"), ("f0", "oldest")]
    kept, repeated = newest_by_fingerprint([point(fingerprint=f, run_id=run) for f, run in runs])
    assert [item.run_id for item in kept] == ["new", "only"]
    assert repeated == {"f0": 3}


def test_at_each_n_of_a_curve_only_points_of_the_newest_method_are_kept():
    made = [
        point(n=10, seed=0, fingerprint="a"), point(n=30, seed=0, fingerprint="old"),
        point(n=30, seed=1, fingerprint="older"), point(n=30, seed=0, fingerprint="new", revision=4),
        point(n=30, seed=0, fingerprint="other", curve_id="d" * 32),
    ]  # fmt: skip
    kept, repeated = newest_by_fingerprint(made)
    assert [found.fingerprint for found in kept] == ["a", "new", "other"]
    assert repeated == {}


def test_curves_hold_their_points_by_n_then_seed_and_stand_in_the_order_of_their_labels():
    points = [point(curve_id=c, model=c, n=n, seed=s) for c in "ba" for n in (20, 10) for s in (1, 0)]
    curves = curves_of(points)
    assert [curve.label for curve in curves] == ["a digits knn", "b digits knn"]
    for curve in curves:
        assert [(p.n, p.seed) for p in curve.points] == [(10, 0), (10, 1), (20, 0), (20, 1)]
        assert {p.curve_id for p in curve.points} == {curve.curve_id}


def test_n_are_sorted_as_numbers_not_as_text():
    assert curves_of(point(n=n) for n in (1000, 9, 200))[0].n.tolist() == [9, 200, 1000]


def test_a_band_is_mean_smallest_and_largest_over_seeds_at_each_n():
    points = [point(n=10, seed=s, test_score=a) for s, a in enumerate((0.5, 0.8, 0.2))]
    band = curves_of([*points, point(n=20, test_score=0.9)])[0].band("test_score")
    np.testing.assert_allclose(band.mean, [0.5, 0.9])
    np.testing.assert_array_equal(band.low, [0.2, 0.9])
    np.testing.assert_array_equal(band.high, [0.8, 0.9])


def test_the_band_of_upgradeability_is_over_the_seeds_own_differences():
    points = [point(seed=s, train_score=a, test_score=b) for s, (a, b) in enumerate([(1.0, 0.5), (0.5, 0.75)])]
    band = curves_of(points)[0].band("upgradeability")
    assert (band.mean[0], band.low[0], band.high[0]) == (-0.125, -0.5, 0.25)


@pytest.mark.parametrize(("pool", "shared"), [(10, True), (9, True), (11, False), (None, False)])
def test_seeds_share_the_subset_where_it_is_the_whole_training_set(pool, shared):
    curve = Curve("c", "label", (point(n=10, pool=pool), point(n=5, seed=1, pool=pool)))
    assert curve.no_draw_variance(10) is shared
    assert curve.no_draw_variance(5) is False


def test_rows_have_the_columns_that_other_peoples_scripts_rely_on():
    columns = (
        "curve_id,label,model,dataset,adaptation,n,n_requested,seed,"
        "train_accuracy,test_accuracy,upgradeability,fingerprint,run_id,flag,"
        "metric,train_score,test_score"
    )
    assert ",".join(COLUMNS) == columns
    assert ",".join(rows(curves_of([POINT]))[0]) == columns


def test_a_row_holds_its_points_values_without_the_noise_of_binary_fractions():
    assert rows(curves_of([POINT])) == [
        {
            "curve_id": "c" * 32, "label": BASE, "model": "net", "dataset": "digits", "adaptation": "knn",
            "n": 10, "n_requested": "10", "seed": 0, "train_accuracy": 0.9, "test_accuracy": 0.8,
            "upgradeability": -0.1, "fingerprint": "f0", "run_id": "r0", "flag": "",
            "metric": "accuracy", "train_score": 0.9, "test_score": 0.8,
        }
    ]  # fmt: skip


def test_there_is_a_row_for_every_point_of_every_curve():
    points = [point(curve_id=c, model=c, n=n, run_id=f"{c}{n}") for c in "ba" for n in (20, 10)]
    assert [row["run_id"] for row in rows(curves_of(points))] == ["a10", "a20", "b10", "b20"]
