"""Whole runs on folders of pictures: what a viewer shows is what counts, and what is left out is told."""

import numpy as np
import pytest
from PIL import Image

from scaling.tracking import RunStore
from scaling.tracking.records import KIND

#: Where the bright half of a picture is, by its class, and how test pictures are stored, by EXIF's orientation.
HALVES = {"up": np.s_[:8], "down": np.s_[8:], "left": np.s_[:, :8], "right": np.s_[:, 8:]}
STORED = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
KNN = ("model=pixels", "adaptation=knn", "n=full", "progress=false")


def pictures(place, save):
    """Four classes, six pictures of each in each part, saved by `save(pixels, path without suffix, part, number)`."""
    generator = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, half in HALVES.items():
            folder = place / "pictures" / part / name
            folder.mkdir(parents=True)
            for number in range(6):
                pixels = generator.integers(0, 60, (16, 16), dtype=np.uint8)
                pixels[half] += 150
                save(pixels, folder / str(number), part, number)
    return "dataset=image_folder", f"dataset.root={place}/pictures"


def accuracies():
    return [run.data.metrics["test/accuracy"] for run in RunStore().runs() if run.data.tags[KIND] == "point"]


def test_pictures_that_are_stored_turned_are_learned_upright(command, place):
    def save(pixels, path, part, number):
        image, exif = Image.fromarray(pixels), Image.Exif()
        if part == "test":
            exif[274] = (3, 6, 8)[number % 3]
            image = image.transpose(STORED[exif[274]])
        image.save(path.with_suffix(".jpg"), exif=exif.tobytes(), quality=95)

    folder = pictures(place, save)
    assert command("scaling.run", *KNN, *folder) == 0
    assert accuracies() == [1.0]


def test_float_pictures_are_refused_at_planning_and_learned_on_a_stated_scale(command, place, capsys):
    def save(pixels, path, part, number):
        Image.fromarray(pixels.astype(np.float32) / 255).save(path.with_suffix(".tif"))

    folder = pictures(place, save)
    for more in (("plan=true",), ()):
        assert command("scaling.run", *KNN, *folder, *more) == 1
        error = capsys.readouterr().err
        assert "0.tif holds floating-point grey values" in error
        assert "dataset.pixel_range=[0,1]" in error
    assert {path.name for path in place.iterdir()} == {"pictures"}
    assert command("scaling.run", *KNN, *folder, "dataset.pixel_range=[0,1]") == 0
    assert accuracies() == [1.0]


def test_shapes_in_the_transparency_alone_are_learned(command, place):
    def save(pixels, path, part, number):
        image = Image.new("RGB", (16, 16))
        image.putalpha(Image.fromarray(pixels))
        image.save(path.with_suffix(".png"))

    folder = pictures(place, save)
    assert command("scaling.run", *KNN, *folder) == 0
    assert accuracies() == [1.0]


@pytest.mark.parametrize("module", ["scaling.run", "scaling.data"])
def test_what_is_left_out_is_told(command, place, capsys, module):
    def save(pixels, path, part, number):
        image = Image.fromarray(pixels)
        if number == 0:
            path.with_suffix(".heic").write_text("a stranger")
        image.save(path.with_suffix(".jfif"), format="jpeg")

    folder = pictures(place, save)
    arguments = (*KNN, *folder, "plan=true") if module == "scaling.run" else ("image_folder", folder[1])
    assert command(module, *arguments) == 0
    out = capsys.readouterr().out
    assert f"note: {place}/pictures: 8 .heic (to read them: pip install 'scaling-curves[heif]') left out\n" in out
