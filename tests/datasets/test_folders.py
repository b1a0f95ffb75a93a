"""Folders of classes: what is taken, what is left out, and what becomes of names."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaling.core.errors import DataError
from scaling.datasets import ImageFolder, Manifest

EVERY = np.arange(2)


def save(path, size=(8, 6), mode="RGB", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.fixture
def root(tmp_path):
    """Two classes, one image of each in each part."""
    root = tmp_path / "images"
    for seed, place in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        save(root / place / "1.png", seed=seed)
    return root


def test_folders_become_classes_in_sorted_order(root):
    save(root / "train" / "ant" / "deep" / "2.JPG")
    save(root / "test" / "ant" / "1.bmp")
    loaded = ImageFolder(str(root)).load()
    assert loaded.class_names == ("ant", "cat", "dog")
    assert loaded.train.labels.tolist() == [0, 1, 2]
    assert [path.name for path in loaded.train.samples.paths] == ["2.JPG", "1.png", "1.png"]


def test_other_files_and_hidden_folders_are_passed_over(root):
    (root / "train" / "cat" / "notes.txt").write_text("no image")
    save(root / "train" / ".thumbnails" / "1.png")
    assert len(ImageFolder(str(root)).load().train) == 2


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found"])
def test_folders_of_systems_are_neither_classes_nor_pictures(root, name):
    for place in ("train", "test", "train/cat", ""):
        save(root / place / name / "1.png")
    loaded = ImageFolder(str(root)).load()
    assert (loaded.class_names, len(loaded.train), loaded.notes) == (("cat", "dog"), 2, ())


def test_a_picture_that_lies_in_a_cloud_is_an_error(root):
    (root / "train" / "cat" / ".2.png.icloud").write_bytes(b"bplist00")
    with pytest.raises(DataError, match=r"\.2\.png\.icloud only stands for a picture that was not fetched"):
        ImageFolder(str(root)).load()


def test_parts_under_other_names_are_told(root):
    (root / "train").rename(root / "Training")
    with pytest.raises(DataError, match=r"no folder .*/train: expected ROOT/train.*\.\nThere are: Training, test\."):
        ImageFolder(str(root)).load()


def test_images_keep_their_sizes(root):
    save(root / "train" / "cat" / "1.png", size=(30, 20))
    shapes = [image.shape for image in ImageFolder(str(root)).load().train.samples.read(EVERY)]
    assert shapes == [(20, 30, 3), (6, 8, 3)]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "P", "CMYK"])
def test_every_mode_is_read_as_rgb(root, mode):
    file = save(root / "train" / "cat" / "1.png", mode="RGB" if mode == "CMYK" else mode)
    if mode == "CMYK":
        file.unlink()
        file = save(file.with_suffix(".tif"), mode=mode)
    image = ImageFolder(str(root)).load().train.samples.read(EVERY)[0]
    assert (image.shape, image.dtype) == ((6, 8, 3), np.uint8)
    with Image.open(file) as saved:
        assert saved.mode == mode
        np.testing.assert_array_equal(image, np.asarray(saved.convert("RGB")))


def test_grey_image_has_three_equal_channels(root):
    save(root / "train" / "cat" / "1.png", mode="L")
    image = ImageFolder(str(root)).load().train.samples.read(EVERY)[0]
    assert (image == image[..., :1]).all()


def test_16_bit_grey_image_keeps_its_contrast(root):
    grey = np.linspace(0, 65535, 48).astype(np.uint16).reshape(6, 8)
    Image.fromarray(grey).save(root / "train" / "cat" / "1.png")
    image = ImageFolder(str(root)).load().train.samples.read(EVERY)[0]
    np.testing.assert_allclose(image[..., 0], grey / 257, atol=1)


def test_palette_with_transparency_is_read_without_a_warning(root):
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).convert("P")
    image.save(root / "train" / "cat" / "1.png", transparency=bytes(range(256)))
    ImageFolder(str(root)).load().train.samples.read(EVERY)


@pytest.mark.parametrize(("part", "word"), [("test", "test"), ("train", "training")])
def test_class_missing_in_one_part_is_named(root, part, word):
    shutil.rmtree(root / part / "dog")
    with pytest.raises(DataError, match=f"no {word} sample of class dog in {root}"):
        ImageFolder(str(root)).load()


def test_empty_class_folder_is_named(root):
    (root / "train" / "eel").mkdir()
    with pytest.raises(DataError, match="no training sample of class eel"):
        ImageFolder(str(root)).load()


def test_text_named_png_is_named(root):
    (root / "test" / "dog" / "2.png").write_text("no image")
    with pytest.raises(DataError, match=r"test/dog/2\.png is not an image that can be read(.|\n)*remove it"):
        ImageFolder(str(root)).load()


def test_jpeg_damaged_behind_its_header_is_named_when_it_is_decoded(root):
    file = save(root / "train" / "cat" / "0.jpg", size=(64, 64))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    loaded = ImageFolder(str(root)).load()
    with pytest.raises(DataError, match=r"train/cat/0\.jpg is not an image that can be read"):
        loaded.train.samples.read(np.array([0]))


@pytest.mark.parametrize("source", [ImageFolder(None), Manifest(None)])
def test_place_that_is_not_set_is_named(source):
    with pytest.raises(DataError, match=r"needs dataset\.(root|path)=PATH"):
        source.load()


@pytest.mark.parametrize("kind", [ImageFolder, Manifest])
def test_place_that_does_not_exist_is_named(tmp_path, kind):
    with pytest.raises(DataError, match=f"={tmp_path}/none: there is no such file or folder"):
        kind(f"{tmp_path}/none").load()


def test_missing_part_says_the_expected_layout(root):
    shutil.rmtree(root / "test")
    with pytest.raises(DataError, match=f"no folder {root}/test: expected ROOT/train/CLASS/IMAGE"):
        ImageFolder(str(root)).load()


def test_one_class_is_too_few(root):
    shutil.rmtree(root / "train" / "dog")
    shutil.rmtree(root / "test" / "dog")
    with pytest.raises(DataError, match="holds 1 class folders, at least 2 are needed"):
        ImageFolder(str(root)).load()


def test_content_changes_with_one_byte_of_an_image(root):
    before = ImageFolder(str(root)).load().identity()
    file = root / "train" / "cat" / "1.png"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1  # of the last chunk's checksum: the pixels stay
    file.write_bytes(changed)
    after = ImageFolder(str(root)).load().identity()
    assert after["train"] != before["train"]
    assert after["test"] == before["test"]


def test_content_stays_when_the_folder_is_moved(root, tmp_path):
    before = ImageFolder(str(root)).load().identity()
    moved = shutil.move(root, tmp_path / "elsewhere")
    assert ImageFolder(str(moved)).load().identity() == before


def test_everything_that_is_read_here_is_taken(root):
    image = Image.new("RGB", (8, 8), (10, 20, 30))
    for number, suffix in enumerate((".jfif", ".JPE", ".avif", ".jp2", ".tga", ".dib")):
        image.save(root / "train" / "cat" / f"x{number}{suffix}")
    image.save(root / "train" / "cat" / "n01440764_10026", "jpeg")
    loaded = ImageFolder(str(root)).load()
    assert (len(loaded.train), loaded.notes) == (2 + 7, ())
    assert loaded.train.samples.read(np.arange(1, 8))[6].shape == (8, 8, 3)


def test_what_is_left_out_is_counted_by_suffix(root):
    for name in ("1.heic", "2.HEIC", "a.svg", "README", ".DS_Store", "._1.png", "Thumbs.db", ".2.png", "3.JPG.txt"):
        (root / "train" / "cat" / name).write_text("no picture")
    save(root / "train" / "0.png")
    save(root / "train" / ".thumbnails" / "1.png")
    save(root / "train" / "cat" / ".thumbnails" / "1.png")
    save(root / "val" / "cat" / "1.png")
    loaded = ImageFolder(str(root)).load()
    assert len(loaded.train) == 2
    assert loaded.notes == (
        f"{root}: 2 .heic (to read them: pip install 'scaling-curves[heif]'), 1 .png outside of class folders,"
        " 1 .svg, 1 .txt, 1 hidden .png, 1 without a suffix left out",
        f"{root}: only train and test are read, not val",
    )


def test_a_class_of_files_that_cannot_be_read_says_so(root):
    (root / "train" / "cat" / "1.png").rename(root / "train" / "cat" / "1.heic")
    with pytest.raises(DataError, match=r"train/cat holds no picture .* 1 \.heic .*pip install(.|\n)*Convert"):
        ImageFolder(str(root)).load()


def test_links_are_followed_and_loops_are_not(root, tmp_path):
    save(tmp_path / "elsewhere" / "deep" / "1.jpg")
    (root / "train" / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "train" / "cat" / "2.png").symlink_to("1.png")
    (root / "train" / "cat" / "loop").symlink_to(root / "train" / "cat")
    (root / "train" / "cat" / "up").symlink_to(root)
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    (root / "train" / "eel").symlink_to(tmp_path / "elsewhere")
    (root / "test" / "eel").symlink_to(root / "test" / "dog")
    loaded = ImageFolder(str(root)).load()
    names = [path.relative_to(root / "train").as_posix() for path in loaded.train.samples.paths]
    assert names == ["cat/1.png", "cat/2.png", "cat/more/deep/1.jpg", "dog/1.png", "eel/deep/1.jpg"]


@pytest.mark.parametrize("place", ["train/cat/9.jpg", "train/cat/deep", "train/eel", "train/cat/9", "train"])
def test_a_link_that_leads_nowhere_is_an_error(root, place):
    if place == "train":
        shutil.rmtree(root / place)
    (root / place).symlink_to("../../.git/annex/objects/x")
    with pytest.raises(DataError, match=rf"{place} is a link to \.\./\.\./\.git/annex(.|\n)*git annex get, dvc pull"):
        ImageFolder(str(root)).load()


def test_hidden_links_that_lead_nowhere_are_passed_over(root):
    (root / "train" / "cat" / ".#1.png").symlink_to("user@host.1234:56")
    assert len(ImageFolder(str(root)).load().train) == 2


def test_pipes_are_not_waited_for(root):
    os.mkfifo(root / "train" / "cat" / "2.png")
    os.mkfifo(root / "train" / "cat" / "2")
    assert len(ImageFolder(str(root)).load().train) == 2


def test_a_folder_in_two_forms_of_unicode_is_one_class(root):
    for part, name in (("train", "ku\u0308he"), ("train", "k\u00fche"), ("test", "ku\u0308he ")):
        save(root / part / name / "1.png")
    loaded = ImageFolder(str(root)).load()
    assert loaded.class_names == ("cat", "dog", "k\u00fche")
    assert (loaded.train.labels.tolist(), loaded.test.labels.tolist()) == ([0, 1, 2, 2], [0, 1, 2])


def test_another_form_of_unicode_moves_no_class(root):
    """As two code points ü comes before z, as one behind it: classes stay where their folders sort."""
    for part in ("train", "test"):
        for name in ("u\u0308", "z"):
            save(root / part / name / "1.png")
    assert ImageFolder(str(root)).load().class_names == ("cat", "dog", "\u00fc", "z")


def test_folders_that_only_look_the_same_are_refused(root):
    save(root / "train" / "\u00b5m" / "1.png")
    save(root / "test" / "\u03bcm" / "1.png")
    with pytest.raises(DataError, match=r"U\+00B5.*U\+03BC.*look the same"):
        ImageFolder(str(root)).load()


def sixteen_bits(root, top):
    for file in root.rglob("*.png"):
        Image.fromarray(np.linspace(0, top, 48).astype(np.uint16).reshape(6, 8)).save(file)


@pytest.mark.parametrize(("top", "ends"), [(255, 255), (1000, 1023), (4095, 4095), (3, 255)])
def test_16_bits_of_which_all_pictures_use_the_lowest_need_a_scale(root, top, ends):
    sixteen_bits(root, top)
    with pytest.raises(DataError, match=rf"its 4 pictures of 16 bits is {top} of 65535.*(.|\n)*=\[0,{ends}\]") as error:
        ImageFolder(str(root)).load()
    assert len(str(error.value).splitlines()) <= 3
    loaded = ImageFolder(str(root), pixel_range=(0, top)).load()
    assert loaded.train.samples.read(EVERY)[0].max() == 255
    kept = ImageFolder(str(root), pixel_range=(0, 65535)).load()
    assert kept.train.samples.read(EVERY)[0].max() == round(top / 257)


def test_one_light_picture_shows_that_dark_ones_are_meant(root):
    sixteen_bits(root, 1000)
    Image.fromarray(np.full((6, 8), 65535, np.uint16)).save(root / "test" / "dog" / "1.png")
    assert ImageFolder(str(root)).load().notes == ()


def test_dark_pictures_of_16_bits_are_noted(root):
    sixteen_bits(root, 16383)
    (note,) = ImageFolder(str(root)).load().notes
    assert note.startswith(f"{root}: the largest value of its 4 pictures of 16 bits is 16383 of 65535")
    assert note.endswith("dataset.pixel_range=[0,16383]")


def test_files_of_several_pictures_are_noted(root):
    pages = [Image.new("L", (8, 6), grey) for grey in (0, 9)]
    pages[0].save(root / "train" / "cat" / "2.tif", save_all=True, append_images=pages[1:])
    pages[0].save(root / "train" / "cat" / "3.gif", save_all=True, append_images=pages[1:])
    (note,) = ImageFolder(str(root)).load().notes
    assert note == f"{root}: only the first picture is read of 2 files with several (2.tif, 3.gif)"


def test_a_folder_that_cannot_be_read_is_named(root, monkeypatch):
    """As root every folder can be read."""
    iterdir = Path.iterdir

    def refuse(folder):
        if folder.name == "cat":
            raise PermissionError(13, "Permission denied")
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"cat can't be read \(Permission denied\)"):
        ImageFolder(str(root)).load()
