"""plan=true: what it says of pending work, from a probe, from earlier runs, and where nothing is left to do."""

import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scaling.adapt import Knn
from scaling.core.costs import ARITHMETIC, EARLIER, PROBE, UNKNOWN
from scaling.core.errors import SweepError
from scaling.core.reporter import SilentReporter
from scaling.modalities.images import decoded
from scaling.runs.estimate import estimate
from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed
from scaling.runs.sweep import run_grid
from scaling.tracking import RunStore

NETWORK = (
    "model=torchvision", "model.name=resnet18", "model.pretrained=false", "dataset=digits", "dataset.input_size=32",
    "trainer=cpu",
)  # fmt: skip
PIXELS = ("model=pixels", "dataset=digits", "trainer=cpu")


@pytest.fixture
def job(tmp_path):
    """Make jobs over one feature store and one run store."""

    def make(*overrides):
        places = (f"features.dir={tmp_path}/features", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")
        return Job(composed([*places, *overrides]))

    return make


@pytest.fixture
def store(tmp_path):
    return RunStore(f"sqlite:///{tmp_path}/mlflow.db", "scaling")


def run(*jobs):
    def launch(runner, points):
        return [runner(item.spec, number, item.point.fingerprint) for number, item in enumerate(points)]

    return run_grid([((), job.spec) for job in jobs], launch)


def test_images_are_the_union_over_points_less_what_is_stored(job, store):
    jobs = [job(*NETWORK, f"n={n}", f"seed={seed}", "adaptation=knn") for n in (50, 100) for seed in (0, 1)]
    union = np.unique(np.concatenate([one.subset.indices for one in jobs]))
    assert estimate(jobs, store).samples == len(union) + 500
    evaluate_job(jobs[0])
    assert estimate(jobs, store).samples == len(np.setdiff1d(union, jobs[0].subset.indices))


def test_two_adaptations_share_their_images(job, store):
    jobs = [job(*NETWORK, "n=100", f"adaptation={name}") for name in ("knn", "linear_probe")]
    assert estimate(jobs, store).samples == 600


def test_disk_covers_rows_and_what_runs_keep(job, store):
    found = estimate([job(*NETWORK, "n=100", "adaptation=knn")], store)
    assert 600 * (512 * 4 + 4) < found.disk < 600 * (512 * 4 + 4) + 300e3


def test_without_earlier_runs_a_probe_tells(job, store):
    found = estimate([job(*NETWORK, "n=100", "adaptation=knn")], store)
    assert found.forward_source == PROBE
    assert found.forward_seconds > 0
    assert found.memory > 100e6


def test_earlier_runs_tell_the_time_of_a_pass(job, store, monkeypatch):
    monkeypatch.setattr("scaling.runs.estimate.FEWEST_SAMPLES", 100)
    run(job(*NETWORK, "n=100", "adaptation=knn"))
    [metrics] = store.metrics_of({"scaling.backbone": job(*NETWORK).backbone_id})
    spent = metrics["time/features_of_train_s"] + metrics["time/features_of_test_s"]
    found = estimate([job(*NETWORK, "n=400", "adaptation=linear_probe")], store)
    assert found.forward_source == EARLIER
    assert found.forward_seconds == pytest.approx(spent / 600 * 300)


def test_runs_on_another_machine_tell_nothing(job, store, monkeypatch):
    monkeypatch.setattr("scaling.runs.estimate.FEWEST_SAMPLES", 100)
    run(job(*NETWORK, "n=100", "adaptation=knn"))
    monkeypatch.setattr("scaling.machine.processor", lambda: "a newer processor")
    assert estimate([job(*NETWORK, "n=400", "adaptation=knn")], store).forward_source == PROBE


def test_earlier_fits_of_the_same_curve_tell_the_time_of_a_fit(job, store, monkeypatch):
    monkeypatch.setattr("scaling.core.costs.NEGLIGIBLE", 0.0)
    run(job(*PIXELS, "n=200", "adaptation=knn"))
    [metrics] = store.metrics_of({"scaling.backbone": job(*PIXELS).backbone_id})
    spent = metrics["time/neighbours_of_train_s"] + metrics["time/neighbours_of_test_s"]
    found = estimate([job(*PIXELS, "n=400", "adaptation=knn")], store)
    assert found.fit_source == EARLIER
    share = Knn().cost(400, 500, 64, 10).multiply_adds / Knn().cost(200, 500, 64, 10).multiply_adds
    assert found.fit_seconds == pytest.approx(spent * share + 0.2)


def test_little_work_is_not_measured(job, store, monkeypatch):
    def refuse(*_):
        raise AssertionError("a probe of next to nothing")

    monkeypatch.setattr("scaling.runs.estimate._try_fit", refuse)
    monkeypatch.setattr("scaling.runs.estimate._try_forward", refuse)
    found = estimate([job(*PIXELS, "n=100", "adaptation=knn")], store)
    assert (found.forward_source, found.fit_source) == (ARITHMETIC, ARITHMETIC)


def test_memory_counts_the_images_that_are_kept_decoded(job, store, monkeypatch, tmp_path):
    for part, count in (("train", 6), ("test", 2)):
        for i in range(count):
            path = tmp_path / "photos" / part / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(path)
    photos = ("dataset=image_folder", f"dataset.root={tmp_path}/photos", "model=pixels", "n=4", "adaptation=knn")
    monkeypatch.setattr("scaling.core.costs.PROCESS_BYTES", 1 << 40)
    small, large = (estimate([job(*photos, f"model.input_size={side}")], store).memory for side in (16, 512))
    assert large - small >= 8 * 3 * (512**2 - 16**2)
    monkeypatch.setattr("scaling.modalities.images.decoded.MEMORY_SHARE", 1e-9)
    decoded._readers.clear()
    assert estimate([job(*photos, "model.input_size=512")], store).memory == large - 8 * 3 * 512**2


@pytest.mark.parametrize("adaptation", ["knn", "linear_probe"])
def test_every_adaptation_of_features_can_be_probed(job, store, monkeypatch, adaptation):
    monkeypatch.setattr("scaling.core.costs.NEGLIGIBLE", 0.0)
    found = estimate([job(*PIXELS, "n=400", f"adaptation={adaptation}")], store)
    assert found.fit_source == PROBE
    assert 0.2 < found.fit_seconds < 600


def test_plan_writes_nothing_and_says_what_is_to_come(job, tmp_path, capsys):
    spec = replace(job(*PIXELS, "n=100", "adaptation=knn").spec, plan=True)
    run_grid([((), spec)], lambda runner, points: [])
    printed = capsys.readouterr().out
    assert re.search(r"1 point to run, less than 1 s or so", printed)
    assert re.search(r"forward passes +600 samples +less than 1 s +too little to measure", printed)
    assert "disk" in printed and "memory up to" in printed  # noqa: PT018
    assert all(len(line) <= 80 for line in printed.splitlines())
    assert not (tmp_path / "features").exists()
    assert not (tmp_path / "mlflow.db").exists()


def test_plan_of_finished_points_estimates_nothing(job, capsys):
    one = job(*PIXELS, "n=100", "adaptation=knn")
    run(one)
    capsys.readouterr()
    run_grid([((), replace(one.spec, plan=True))], lambda runner, points: [])
    assert "to run" not in capsys.readouterr().out


def test_a_run_keeps_its_peak_of_memory(job, store):
    run(job(*PIXELS, "n=100", "adaptation=knn"))
    [metrics] = store.metrics_of({"scaling.backbone": job(*PIXELS).backbone_id})
    assert 50e6 < metrics["memory/peak_bytes"] < 100e9


def test_failed_points_are_pending_work(job, store, monkeypatch):
    one = job(*PIXELS, "n=100", "adaptation=knn")
    monkeypatch.setattr("scaling.adapt.knn.Knn.run", lambda *_: 1 / 0)
    with pytest.raises(SweepError):
        run(one)
    assert estimate([one], store).points == 1
    assert store.metrics_of({"scaling.backbone": one.backbone_id}) == []


def test_data_sets_that_share_training_samples_keep_their_own_test_sets(job, store, tmp_path):
    rng = np.random.default_rng(0)
    train, labels = rng.normal(size=(40, 3)), np.arange(40) % 2
    jobs = []
    for name, size in (("small", 10), ("large", 30)):
        parts = {"train_features": train, "train_labels": labels}
        np.savez(tmp_path / f"{name}.npz", **parts, test_features=rng.normal(size=(size, 3)), test_labels=labels[:size])
        jobs.append(job("dataset=embeddings", f"dataset.path={tmp_path}/{name}.npz", "adaptation=knn", "n=20"))
    assert estimate(jobs, store).points == 2


class Nesting(SilentReporter):
    """Remembers which stages were entered inside which."""

    def __init__(self):
        self.open, self.inside = [], []

    @contextmanager
    def stage(self, name, total=None):
        self.inside.append((name, tuple(self.open)))
        self.open.append(name)
        yield lambda steps: None
        self.open.pop()


def test_the_time_of_a_fit_covers_no_forward_pass(job):
    reporter = Nesting()
    evaluate_job(job(*NETWORK, "n=50", "adaptation=linear_probe"), reporter)
    assert ("features of train", ()) in reporter.inside
    assert ("fit", ()) in reporter.inside
    assert not [name for name, around in reporter.inside if around]


def test_an_adaptation_that_says_no_cost_is_not_tried_on_made_up_features(job, store, monkeypatch):
    monkeypatch.setattr("scaling.core.costs.NEGLIGIBLE", 0.0)
    monkeypatch.delattr("scaling.adapt.knn.Knn.cost")
    monkeypatch.setattr("scaling.adapt.knn.Knn.run", lambda *_: 1 / 0)
    assert estimate([job(*PIXELS, "n=400", "adaptation=knn")], store).fit_source == UNKNOWN
