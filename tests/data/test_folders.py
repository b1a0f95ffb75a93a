import shutil

import numpy as np
import pytest
from PIL import Image

from scaling.core.errors import DataError
from scaling.data import ImageFolder, Manifest

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


def table(tmp_path, *rows, header="path,label,split", encoding="utf-8"):
    file = tmp_path / "table.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return str(file)


@pytest.fixture
def rows(root):
    """Lines of a manifest of the same images, one blank line among them."""
    return [
        "images/train/cat/1.png,cat,train", "images/train/dog/1.png,dog,train", "",
        "images/test/cat/1.png,cat,test", "images/test/dog/1.png,dog,test",
    ]  # fmt: skip


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


def test_content_changes_with_a_label(root, tmp_path, rows):
    before = Manifest(table(tmp_path, *rows)).load()
    swapped = [row.replace(",cat,train", ",x").replace(",dog,train", ",cat,train").replace(",x", ",dog,train")
               for row in rows]  # fmt: skip
    after = Manifest(table(tmp_path, *swapped)).load()
    assert after.train.sample_content == before.train.sample_content
    assert after.train.content != before.train.content


def test_content_stays_when_the_folder_is_moved(root, tmp_path):
    before = ImageFolder(str(root)).load().identity()
    moved = shutil.move(root, tmp_path / "elsewhere")
    assert ImageFolder(str(moved)).load().identity() == before


def test_manifest_reads_paths_relative_to_the_csv(tmp_path, rows, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    loaded = Manifest(table(tmp_path, *rows)).load()
    assert loaded.class_names == ("cat", "dog")
    assert loaded.train.labels.tolist() == loaded.test.labels.tolist() == [0, 1]
    assert len(loaded.train.samples.read(EVERY)) == 2


def test_manifest_and_folder_of_the_same_images_have_one_content(root, tmp_path, rows):
    table_path = table(tmp_path, *rows)
    assert Manifest(table_path).load().train.content == ImageFolder(str(root)).load().train.content


def test_manifest_takes_columns_in_any_order_and_more_of_them(tmp_path, rows):
    path = table(tmp_path, *(",".join([*row.split(",")[::-1], "x"]) for row in rows if row),
                 header="split,label,path,comment")  # fmt: skip
    assert Manifest(path).load().class_names == ("cat", "dog")


def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path, rows):
    assert len(Manifest(table(tmp_path, *rows, encoding="utf-8-sig")).load().train) == 2


def test_missing_column_is_named_with_those_that_are_there(tmp_path, rows):
    with pytest.raises(DataError, match="lacks the column label, split: it has path, class, part, expected path"):
        Manifest(table(tmp_path, *rows, header="path,class,part")).load()


def test_unknown_split_is_named_with_its_line(tmp_path, rows):
    rows[3] = rows[3].replace(",test", ",val")
    with pytest.raises(DataError, match=r"table\.csv, line 5: split is 'val', expected train or test"):
        Manifest(table(tmp_path, *rows)).load()


def test_missing_file_is_named_with_its_line(tmp_path, rows):
    rows[1] = "images/none.png,dog,train"
    with pytest.raises(DataError, match=rf"line 3: {tmp_path}/images/none\.png does not exist"):
        Manifest(table(tmp_path, *rows)).load()


@pytest.mark.parametrize("row", ["images/test/dog/1.png,dog", "images/test/dog/1.png,,test", ",dog,test"])
def test_missing_value_is_named_with_its_line(tmp_path, rows, row):
    rows[4] = row
    with pytest.raises(DataError, match="line 6: a value is missing"):
        Manifest(table(tmp_path, *rows)).load()


def test_manifest_of_one_class_is_too_few(tmp_path, rows):
    with pytest.raises(DataError, match="names 1 classes, at least 2 are needed"):
        Manifest(table(tmp_path, *(row.replace(",dog,", ",cat,") for row in rows))).load()


def test_manifest_without_a_part_says_which(tmp_path, rows):
    with pytest.raises(DataError, match=r"the test part in .*table\.csv holds no sample"):
        Manifest(table(tmp_path, *rows[:2])).load()


def test_manifest_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(DataError, match="can't be read as a CSV file"):
        Manifest(str(tmp_path / "table.csv")).load()
