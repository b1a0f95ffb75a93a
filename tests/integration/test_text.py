"""Whole runs on texts: a table from file to report, and what is wrong with a table before anything is written."""

import csv
import json
from pathlib import Path

import pytest
from tests.encoders import encoder, sentences

from scaling.tracking import RunStore
from scaling.tracking.records import KIND


def table(path, names=("bad", "good"), **changed):
    """Write a table of short texts with one word that tells their label."""
    rows = []
    for part, count, seed in (("train", 60, 1), ("test", 40, 2)):
        texts, labels = sentences(count, seed)
        rows += [
            {"text": text, "label": names[label], "split": part} for text, label in zip(texts, labels, strict=True)
        ]
    rows[3] |= changed
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


def points(experiment="scaling"):
    runs = [run for run in RunStore(experiment=experiment).runs() if run.data.tags[KIND] == "point"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    return runs


def test_a_table_is_checked_run_resumed_and_reported(command, place, capsys):
    table(place / "remarks.csv")
    assert command("scaling.data", "text_table", "dataset.path=remarks.csv") == 0
    out = capsys.readouterr().out
    assert "remarks: 60 training and 40 test samples, 2 classes, in remarks.csv" in out
    assert "characters, content " in out
    grid = ("-m", "dataset=text_table", "dataset.path=remarks.csv", "model=hashed_ngrams", "n=20,full")
    assert command("scaling.run", *grid, "adaptation=linear_probe,knn") == 0
    assert "4 points: 4 done" in capsys.readouterr().out
    assert command("scaling.run", *grid, "adaptation=linear_probe,knn") == 0
    assert "nothing to run" in capsys.readouterr().out
    assert command("scaling.report") == 0
    rows = list(csv.DictReader(Path("reports/scaling/curves.csv").read_text(encoding="utf-8").splitlines()))
    assert {(row["model"], row["dataset"], row["n"]) for row in rows} == {
        ("hashed_ngrams", "remarks", n) for n in ("20", "60")
    }
    best = max(float(row["test_accuracy"]) for row in rows)
    assert best > 0.9  # one word tells the label
    assert Path("reports/scaling/report.html").is_file()


def test_formats_are_one_data_set_and_a_changed_text_is_another(command, place):
    for path in ("t.csv", "t.jsonl"):
        table(place / path)
        point = ("dataset=text_table", f"dataset.path={path}", "model=hashed_ngrams", "adaptation=knn", "n=20")
        assert command("scaling.run", *point) == 0
    assert len(points()) == 1
    table(place / "t.csv", text="another text, altogether")
    assert command("scaling.run", *point[:1], "dataset.path=t.csv", *point[2:]) == 0
    assert len(points()) == 2


def test_an_encoder_reads_a_table(command, place):
    table(place / "remarks.jsonl")
    encoder(place / "bert")
    data = ("dataset=text_table", "dataset.path=remarks.jsonl")
    model = ("model=transformers", "model.name=bert", "model.id=small_bert")
    assert command("scaling.run", *data, *model, "adaptation=linear_probe", "n=40") == 0
    (run,) = points()
    assert (run.data.params["model"], run.data.params["dataset"]) == ("small_bert", "remarks")
    assert 0 <= run.data.metrics["test/accuracy"] <= 1


BAD = {
    "no text column": ("t.csv", {}, ["dataset.text_column=body"], ["lacks the column body", "text, label, split"]),
    "an empty text": ("t.csv", {"text": ""}, [], ["line 5", "text"]),
    "a missing label": ("t.jsonl", {"label": None}, [], ["line 4", "label has no value"]),
    "NaN for a label": ("t.jsonl", {"label": float("nan")}, [], ["line 4", "label has no value"]),
    "a label in test alone": ("t.csv", {"label": "odd", "split": "test"}, [], ["no training sample of class odd"]),
    "mixed labels": ("t.jsonl", {"label": 3}, [], ["line 4", "3 is a whole number"]),
    "mixed texts": ("t.jsonl", {"text": 3}, [], ["line 4", "text is 3"]),
    "a third part": ("t.csv", {"split": "dev"}, [], ["line 5", "'dev'", "train or test"]),
    "a model of images": ("t.csv", {}, ["model=pixels"], ["pixels reads images", "texts"]),
    "a training": ("t.csv", {}, ["adaptation=finetune"], ["finetune needs a network to train; hashed_ngrams has none"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_before_anything_is_written(case, command, place, capsys):
    name, changed, settings, words = BAD[case]
    table(place / name, **changed)
    model = [] if any(text.startswith("model=") for text in settings) else ["model=hashed_ngrams"]
    assert command("scaling.run", "dataset=text_table", f"dataset.path={name}", *model, *settings, "n=20") == 1
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ")
    assert len(message.splitlines()) <= 3, message
    assert all(word in message for word in words), message
    assert [file.name for file in place.iterdir()] == [name]


def test_a_file_in_another_encoding_names_the_line(command, place, capsys):
    (place / "t.csv").write_bytes("text,label,split\ngood,a,train\ncafé,b,train\n".encode("latin-1"))
    assert command("scaling.run", "dataset=text_table", "dataset.path=t.csv", "model=hashed_ngrams", "n=2") == 1
    assert "line 3" in capsys.readouterr().err
    assert [file.name for file in place.iterdir()] == ["t.csv"]
