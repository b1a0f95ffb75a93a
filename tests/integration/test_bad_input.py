"""Bad input: a message of at most three lines that names the choices or the remedy, and nothing half-written."""

import pytest
from tests.conftest import DIGITS

CASES = {
    "unknown model": (["model=resnt18"], ["resnet18", "There are:"]),
    "unknown data set": (["dataset=mnist"], ["fashion_mnist", "There are:"]),
    "unknown adaptation": (["adaptation=svm"], ["as_is, finetune, finetune_short, knn, knn_euclidean, linear_probe"]),
    "unknown experiment": (["experiment=quickstrt"], ["quickstart"]),
    "unknown setting": (["modle=x"], ["Did you mean model?"]),
    "unknown setting of a group": (["adaptation.k=3"], ["There is no setting adaptation.k", "adaptation.penalties"]),
    "n = 0": ([*DIGITS, "n=0"], ["n=0", "n=full"]),
    "negative n": ([*DIGITS, "n=-5"], ["n=-5", "n=full"]),
    "n is a word": ([*DIGITS, "n=many"], ["n=many", "n=full"]),
    "n is a fraction": ([*DIGITS, "n=10.5"], ["n=10.5", "n=full"]),
    "n below the number of classes": ([*DIGITS, "n=5"], ["n=5", "10"]),
    "one bad n in a grid": (["-m", *DIGITS, "n=100,5"], ["n=5", "10"]),
    "seed is a word": ([*DIGITS, "seed=x"], ["seed=x"]),
    "unknown precision": ([*DIGITS, "precision=fp16"], ["bf16-mixed"]),
    "label spaces differ": (
        ["dataset=digits", "adaptation=as_is"], ["imagenet1k", "digits", "label_map", "label_space=raw"],
    ),
    "no root": (["model=pixels", "dataset=image_folder"], ["dataset.root=PATH"]),
    "no such root": (["model=pixels", "dataset=image_folder", "dataset.root=nowhere"], ["nowhere"]),
    "missing data, no network": (["model=pixels", "dataset.download=false"], ["dataset-fashion-mnist", "data"]),
    "no such weights": (["dataset=digits", "model.weights=nowhere.pth"], ["nowhere.pth"]),
    "a file store": ([*DIGITS, "tracking.uri=./mlruns"], ["sqlite:///"]),
    "a store that can't be made": ([*DIGITS, "tracking.uri=sqlite:////proc/nowhere/mlflow.db"], ["/proc/nowhere"]),
    "negative k": ([*DIGITS, "adaptation.k=-1"], ["adaptation.k=-1"]),
    "batch size 0": ([*DIGITS, "features.batch_size=0"], ["features.batch_size=0"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_before_anything_is_written(case, command, capsys, place, monkeypatch):
    from scaling.datasets import fashion_mnist

    monkeypatch.setattr(fashion_mnist, "DEBIAN", place / "nowhere")
    arguments, words = CASES[case]
    assert command("scaling.run", *arguments) == 1
    out, err = capsys.readouterr()
    message = err.strip()
    assert message.startswith("error: ")
    assert len(message.splitlines()) <= 3, message
    assert all(word in message for word in words), message
    assert list(place.iterdir()) == [], out


def test_a_failed_download_says_what_else_supplies_the_data(command, capsys, place, monkeypatch):
    from torchvision import datasets

    from scaling.datasets import fashion_mnist

    def unreachable(*_, **__):
        (place / "data" / "FashionMNIST" / "raw").mkdir(parents=True)
        raise OSError("no route to host")

    monkeypatch.setattr(fashion_mnist, "DEBIAN", place / "nowhere")
    monkeypatch.setattr(datasets, "FashionMNIST", unreachable)
    assert command("scaling.run", "model=pixels", "n=100") == 1
    message = capsys.readouterr().err
    assert "no route to host" in message
    assert "dataset-fashion-mnist" in message
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("prefix", ["", "model."])
def test_weights_that_do_not_fit_are_refused_once_before_anything_is_written(command, capsys, place, prefix):
    import torch

    torch.save({f"{prefix}conv1.weight": torch.zeros(1)}, place / "other.pth")
    arguments = ("model=resnet18", "model.weights=other.pth", "dataset=digits", "n=20,30,40")
    assert command("scaling.run", "-m", *arguments) == 1
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: The weights in other.pth don't fit the network: 101 missing, e.g. bn1.weight")
    assert len(message.splitlines()) <= 3
    assert [path.name for path in place.iterdir()] == ["other.pth"]


def test_a_gpu_that_is_not_there_is_named(command, capsys, place):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert command("scaling.run", *DIGITS, "n=50", "trainer=gpu") == 1
    assert "trainer=cpu" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("scaling.run", ["n=10,20"], ["-m"]),
        ("scaling.run", ["-m", *DIGITS, "n=50", "tracking.experiment=a,b"], ["one value a sweep"]),
        ("scaling.report", ["foo=1"], ["There is no setting foo", "tracking, metric"]),
    ],
)
def test_a_misunderstanding_is_answered_with_the_remedy(module, arguments, words, command, capsys):
    assert command(module, *arguments) == 1
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
