"""Every committed experiment composes, its parts can be made, and a tiny one of each kind really runs."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from tests.encoders import encoder, sentences

from scaling.config import VERSION_BASE, build, build_dataset, config_path, plain
from scaling.tracking import RunStore
from scaling.tracking.records import KIND

FOLDER = Path(config_path()) / "experiment"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

HUBCONF = """
import torch

def resnet50(pretrained=False, **settings):
    network = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 1000)
    )
    return network
"""


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_composes_and_its_parts_can_be_made(name, tmp_path):
    with initialize_config_dir(config_path(), version_base=VERSION_BASE):
        config = compose("config", overrides=[f"experiment={name}"], return_hydra_config=True)
    assert config.tracking.experiment == name
    assert config.hydra.mode.name == "MULTIRUN"
    settings = plain(config)
    if name == "setfit_ag_news":  # its encoder lies on a hub
        settings["model"]["name"] = str(encoder(tmp_path / "encoder", sentences=True))
    build_dataset(settings["dataset"])
    build(settings["adaptation"])
    model = build(settings["model"])
    package = re.match(r"package:(\w+)/", str(settings["model"].get("weights")))
    if package is None or find_spec(package[1]) is None:  # the weights are a download
        model = build({**settings["model"], "pretrained": False})
    if settings["model"]["id"] != "torch_hub/resnet50":  # its code is a download too; a local hub runs below
        assert model.build().network is not None
    assert set(config.hydra.sweeper.params or {}) <= {"n", "seed", "adaptation", "model", "dataset"}


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_says_how_it_is_run(name):
    assert f"python -m scaling.run experiment={name}" in (FOLDER / f"{name}.yaml").read_text()


def finished(name):
    runs = [run for run in RunStore(experiment=name).runs() if run.data.tags[KIND] == "point"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    return runs


def test_a_tiny_quickstart_runs_with_the_real_network(command):
    assert command("scaling.run", "experiment=quickstart", "dataset=digits", "n=20,40", "seed=0") == 0
    assert len(finished("quickstart")) == 2
    assert command("scaling.report", "experiment=quickstart") == 0
    assert Path("reports/quickstart/report.html").is_file()


def test_a_tiny_seed_scalability_takes_the_first_n_and_compares_raw_outputs(command):
    arguments = ("dataset=digits", "model.pretrained=false", "n=20,40")
    assert command("scaling.run", "experiment=seed_scalability", *arguments) == 0
    for run in finished("seed_scalability"):
        assert run.data.params["subset.draw"] == "first"
        assert run.data.metrics["test/accuracy"] < 0.5


def test_the_offline_variant_of_seed_scalability_differs_in_model_and_data_alone():
    with initialize_config_dir(config_path(), version_base=VERSION_BASE):
        article = compose("config", overrides=["experiment=seed_scalability"], return_hydra_config=True)
        offline = compose("config", overrides=["experiment=seed_scalability_offline"], return_hydra_config=True)
    for key in ("adaptation", "subset", "n", "seed", "precision"):
        assert article[key] == offline[key]
    assert article.hydra.sweeper.params == offline.hydra.sweeper.params
    assert offline.model.preprocessing == "to_tensor"
    assert offline.model.input_size is None
    assert (offline.model.id, offline.dataset.name) == ("efficientnet_lite0", "fashion_mnist")


def test_a_tiny_seed_upgradeability_loads_through_torch_hub(command, place):
    (place / "hub").mkdir()
    (place / "hub" / "hubconf.py").write_text(HUBCONF)
    arguments = ("dataset=digits", "model.repo=hub", "model.pretrained=false", "n=full")
    assert command("scaling.run", "experiment=seed_upgradeability", *arguments) == 0
    (run,) = finished("seed_upgradeability")
    assert run.data.params["model"] == "torch_hub/resnet50"
    assert run.data.params["n"] == "1297"


def test_a_tiny_pixels_experiment_compares_with_published_figures(command, capsys):
    entry = (
        "{{model: pixels, dataset: {}, adaptation: knn, n: {}, quantity: test_accuracy, value: {},"
        " tolerance: 0.01, source: us}}"
    )
    expected = f"expected=[{entry.format('digits', 100, 0.1)},{entry.format('fashion_mnist', 60000, 0.85)}]"
    assert command("scaling.run", "experiment=fashion_mnist_pixels", "dataset=digits", "n=100", expected) == 0
    assert len(finished("fashion_mnist_pixels")) == 2
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("expected:")]
    assert re.search(r"n=100: 0\.\d{4}, expected 0\.1 ± 0\.01 \(\+0\.\d{4}\): differs", said)
    assert command("scaling.report", "experiment=fashion_mnist_pixels") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "expected: test accuracy, pixels fashion_mnist knn, n=60000: –, expected 0.85 ± 0.01: not measured" in out


def test_a_tiny_few_shot_experiment_runs_on_a_saved_folder(command, place, capsys, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(place / "cache"))
    datasets = pytest.importorskip("datasets")
    topics = datasets.ClassLabel(names=["World", "Sports"])
    features = datasets.Features({"text": datasets.Value("string"), "label": topics})

    def split(count, seed):
        texts, labels = sentences(count, seed)
        return datasets.Dataset.from_dict({"text": texts, "label": labels.tolist()}, features=features)

    datasets.disable_progress_bars()
    datasets.DatasetDict(train=split(80, 1), test=split(40, 2)).save_to_disk(str(place / "ag"))
    encoder(place / "encoder", sentences=True)
    here = ("dataset.path=ag", "model.name=encoder", "n=32", "seed=0,1")
    assert command("scaling.run", "experiment=setfit_ag_news", *here) == 0
    assert len(finished("setfit_ag_news")) == 2
    capsys.readouterr()
    assert command("scaling.report", "experiment=setfit_ag_news") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "expected: test accuracy, mpnet ag_news linear_probe, n=32: 0." in out
    assert "distilbert ag_news finetune, n=256: –, expected 0.868 ± 0.02: not measured" in out
