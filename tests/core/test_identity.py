from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.core import identity
from scaling.core.identity import GridPoint, digest, flatten

examples = settings(max_examples=60, deadline=None, derandomize=True, database=None)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
descriptions = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)

PARTS = {
    "dataset": {"name": "digits", "train": "aa", "test": "bb"},
    "model": {"architecture": "timm/x", "weights": "sha256:cc", "preprocessing": {"resize": 64, "mean": [0.5]}},
    "adaptation": {"name": "knn", "version": 1, "k": 5},
    "draw": "stratified",
    "precision": "32-true",
}
POINT = GridPoint("x", "digits", "knn", 100, "100", 0, PARTS)

CHANGES = [
    ("dataset", {**PARTS["dataset"], "train": "other"}),
    ("dataset", {**PARTS["dataset"], "test": "other"}),
    ("model", {**PARTS["model"], "weights": "sha256:other"}),
    ("model", {**PARTS["model"], "preprocessing": {"resize": 96, "mean": [0.5]}}),
    ("model", {**PARTS["model"], "preprocessing": {"resize": 64, "mean": [0.25]}}),
    ("adaptation", {**PARTS["adaptation"], "k": 1}),
    ("adaptation", {**PARTS["adaptation"], "version": 2}),
    ("draw", "first"),
    ("precision", "bf16-mixed"),
    ("added", None),
]


def turned(description):
    """The same description with all its keys in the opposite order."""
    if isinstance(description, dict):
        return {key: turned(value) for key, value in reversed(description.items())}
    return [turned(item) for item in description] if isinstance(description, list) else description


@pytest.mark.parametrize(("part", "value"), CHANGES)
def test_each_part_changes_fingerprint_and_curve(part, value):
    other = replace(POINT, identity={**PARTS, part: value})
    assert other.fingerprint != POINT.fingerprint
    assert other.curve_id != POINT.curve_id


@pytest.mark.parametrize("part", PARTS)
def test_a_part_left_out_changes_the_fingerprint(part):
    rest = {key: value for key, value in PARTS.items() if key != part}
    assert replace(POINT, identity=rest).fingerprint != POINT.fingerprint


@pytest.mark.parametrize("change", [{"n": 101}, {"n": 1}, {"seed": 1}])
def test_n_and_seed_change_the_fingerprint_but_not_the_curve(change):
    other = replace(POINT, **change)
    assert other.fingerprint != POINT.fingerprint
    assert other.curve_id == POINT.curve_id


def test_n_and_seed_are_told_apart():
    assert replace(POINT, n=1, seed=2).fingerprint != replace(POINT, n=2, seed=1).fingerprint


def test_what_was_asked_for_does_not_count_only_what_was_used():
    assert replace(POINT, n_requested="full").fingerprint == POINT.fingerprint


def test_a_new_meaning_of_the_scores_changes_every_fingerprint(monkeypatch):
    before = POINT.fingerprint, POINT.curve_id
    monkeypatch.setattr(identity, "SCORE_VERSION", identity.SCORE_VERSION + 1)
    assert POINT.fingerprint != before[0]
    assert POINT.curve_id != before[1]


def test_the_order_of_keys_does_not_count():
    assert replace(POINT, identity=turned(PARTS)).fingerprint == POINT.fingerprint


@examples
@given(descriptions)
def test_a_digest_is_independent_of_the_order_of_keys_at_any_depth(description):
    assert digest(turned(description)) == digest(description)


def test_the_order_of_a_list_counts():
    assert digest([1, 2]) != digest([2, 1])


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (None, "null"), (True, "true"), ({}, []), ("a,b", ["a", "b"])])
def test_values_of_different_kinds_differ(one, other):
    assert digest({"a": one}) != digest({"a": other})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused(number):
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": number})


def test_digests_stay_the_same_in_every_release():
    # sha256 of {"a":[1,0.5,null],"b":"\u00e9"}, by coreutils' sha256sum
    assert digest({"b": "é", "a": [1, 0.5, None]}) == "0cd0283325957dc2fa33115aea9c0bd447747ce5508421aa510074509754a9fa"


def test_flatten_joins_nested_keys_with_dots():
    nested = {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}
    assert flatten(nested) == {"a.b": 1, "a.c.d": [1, 2], "e": None}


def test_a_revision_of_the_method_at_some_n_changes_the_fingerprint_but_not_the_curve():
    revised = replace(POINT, revision=4)
    assert revised.fingerprint != POINT.fingerprint != replace(POINT, revision=5).fingerprint != revised.fingerprint
    assert revised.curve_id == POINT.curve_id


def test_that_a_point_stands_for_all_seeds_changes_nothing_that_it_is_known_by():
    assert replace(POINT, every_seed=True).fingerprint == POINT.fingerprint
