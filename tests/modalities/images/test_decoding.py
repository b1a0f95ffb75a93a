"""What a viewer shows of a file is what is decoded; and fingerprints move only where that was otherwise before."""

import base64
import hashlib
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaling.core.errors import DataError, SettingError
from scaling.datasets import ImageFolder
from scaling.modalities.images import FileImages
from scaling.modalities.images.decoding import Viewing, decode, suffixes

COLOURS = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
GREY = np.array([[0, 257, 32896], [200, 40000, 65535]], np.uint16)

#: Files in base64, with what version 0.1 called their contents. It showed all of them right: an alpha channel that is
#: opaque, or that hides white; orientation 1, and 6 in a TIFF, which Pillow turns itself; 16 bits of grey up to 65 535.
GOLDEN = json.loads((Path(__file__).parent / "golden_pictures.json").read_text())


def content_before(path):
    """What version 0.1 called the content of a file."""
    return hashlib.sha256(hashlib.sha256(path.read_bytes()).digest()).hexdigest()


def moved(path, viewing=Viewing()):  # noqa: B008
    return FileImages((path,), viewing).content() != content_before(path)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def tiff(path, values, bits, kind, zero_is_black=True, order="<", data=None):
    """Write a grey TIFF with tags of our choice: what Pillow itself would not save."""
    height, width = values.shape
    data = values.tobytes() if data is None else data
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, int(zero_is_black)), (273, 4, 8),
        (277, 3, 1), (278, 4, height), (279, 4, len(data)), (339, 3, kind),
    ]  # fmt: skip
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data)) + data
    content += struct.pack(f"{order}H", len(tags))
    for number, size, value in tags:
        content += struct.pack(f"{order}HHI", number, size, 1)
        content += struct.pack(f"{order}I", value) if size == 4 else struct.pack(f"{order}HH", value, 0)
    path.write_bytes(content + struct.pack(f"{order}I", 0))
    return path


def test_files_that_were_shown_right_keep_their_fingerprints(tmp_path):
    for name, content in GOLDEN["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(base64.b64decode(content))
    assert ImageFolder(str(tmp_path)).load().identity() == GOLDEN["contents"]


#: What to do with the stored picture, by EXIF's orientation (Exif 2.32, section 4.6.4, tag 0x0112).
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored),
    0: lambda stored: stored,
    9: lambda stored: stored,
}


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_stand_upright(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    stored = np.kron(COLOURS, np.ones((16, 16, 1), np.uint8))
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 95, "subsampling": 0}}.get(suffix, {})
    path = saved(tmp_path / f"1{suffix}", Image.fromarray(stored), exif=exif.tobytes(), **options)
    shown = decode(path)
    assert shown.shape == UPRIGHT[orientation](stored).shape
    error = np.abs(shown.astype(int) - UPRIGHT[orientation](stored))
    assert np.median(error) <= (8 if suffix == ".jpg" else 0)
    assert moved(path) == (2 <= orientation <= 8 and suffix != ".tif")


@pytest.mark.parametrize("chunk", ["eXIf", "zTXt", "iTXt"])
def test_orientation_behind_the_pixels_of_a_png_counts(tmp_path, chunk):
    exif = Image.Exif()
    exif[274] = 3
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    profile = b"\nexif\n%8d\n%s\n" % (len(exif.tobytes()), exif.tobytes().hex().encode())
    data = {
        "eXIf": exif.tobytes(),
        "zTXt": b"Raw profile type exif\0\0" + zlib.compress(profile),
        "iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + xmp,
    }[chunk]
    whole = io.BytesIO()
    Image.fromarray(COLOURS).save(whole, "png")
    added = struct.pack(">I", len(data)) + chunk.encode() + data
    added += struct.pack(">I", zlib.crc32(added[4:]))
    (tmp_path / "1.png").write_bytes(whole.getvalue()[:-12] + added + whole.getvalue()[-12:])
    np.testing.assert_array_equal(decode(tmp_path / "1.png"), COLOURS[::-1, ::-1])
    assert moved(tmp_path / "1.png")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1"])
def test_damaged_exif_data_leave_a_picture_as_it_is_stored(tmp_path, exif):
    path = saved(tmp_path / "1.jpg", Image.fromarray(COLOURS), exif=exif)
    assert decode(path).shape == COLOURS.shape
    assert not moved(path)


def over(colours, alpha, background):
    return colours * (alpha / 255) + np.array(background) * (1 - alpha / 255)


ALPHA = np.array([[0, 128, 255], [64, 255, 1]], np.uint8)[..., None]
COLOURED_AND_CLEAR = Image.fromarray(np.concatenate([COLOURS, ALPHA], 2))


@pytest.mark.parametrize(
    ("background", "colour"), [("white", (255,) * 3), ("black", (0,) * 3), ("#102030", (16, 32, 48))]
)
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_transparent_pictures_are_shown_over_the_background(tmp_path, suffix, background, colour):
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"1{suffix}", COLOURED_AND_CLEAR, **options)
    shown = decode(path, Viewing(background=background))
    np.testing.assert_allclose(shown, over(COLOURS, ALPHA, colour), atol=1)
    assert moved(path, Viewing(background=background))


def test_opaque_pixels_stay_as_they_are(tmp_path):
    every = np.arange(256, dtype=np.uint8).repeat(4).reshape(16, 16, 4).copy()
    every[..., 3] = 255
    path = saved(tmp_path / "1.png", Image.fromarray(every))
    np.testing.assert_array_equal(decode(path), every[..., :3])
    assert not moved(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_pictures_with_alpha_are_shown_over_the_background(tmp_path, suffix):
    image = Image.fromarray(np.concatenate([COLOURS[..., :1], ALPHA], 2), "LA")
    shown = decode(saved(tmp_path / f"1{suffix}", image))
    np.testing.assert_allclose(shown, over(COLOURS[..., :1].repeat(3, 2), ALPHA, (255,) * 3), atol=1)


def test_premultiplied_colours_are_divided_by_their_alpha(tmp_path):
    premultiplied = np.concatenate([np.rint(COLOURS * (ALPHA / 255)).astype(np.uint8), ALPHA], 2)
    path = saved(tmp_path / "1.tif", Image.fromarray(premultiplied))
    content = path.read_bytes()  # ExtraSamples (338): from 2, unassociated, to 1, associated
    (path).write_bytes(content.replace(struct.pack("<HHI", 338, 3, 1) + b"\2", struct.pack("<HHI", 338, 3, 1) + b"\1"))
    np.testing.assert_allclose(decode(path), over(COLOURS, ALPHA, (255,) * 3), atol=3)


@pytest.mark.parametrize("clear", [0, bytes([0, 0, 255])])
@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_transparent_colours_of_a_palette_show_the_background(tmp_path, suffix, clear):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    if suffix == ".gif":
        clear = 0
    shown = decode(saved(tmp_path / f"1{suffix}", image, transparency=clear))[0].tolist()
    second = [40, 50, 60] if clear == 0 else [255] * 3
    assert shown == [[255] * 3, second, [70, 80, 90]]


@pytest.mark.parametrize(("mode", "clear"), [("L", 7), ("RGB", (7, 7, 7)), ("1", 0)])
def test_one_transparent_colour_shows_the_background(tmp_path, mode, clear):
    image = Image.fromarray(np.array([[7, 200]], np.uint8)).convert(mode, dither=Image.Dither.NONE)
    shown = decode(saved(tmp_path / "1.png", image, transparency=clear), Viewing(background="#0000ff"))
    assert shown[0].tolist() == [[0, 0, 255], [255 if mode == "1" else 200] * 3]


def grey_of(path, **viewing):
    shown = decode(path, Viewing(**viewing))
    assert (shown == shown[..., :1]).all()
    return shown[..., 0]


BY_TYPE = np.rint(GREY * (255 / 65535)).astype(np.uint8)


def sixteen(tmp_path, kind):
    path = tmp_path / f"1.{kind.partition('-')[0]}"
    if kind == "pgm":
        path.write_bytes(b"P5 3 2 65535\n" + GREY.astype(">u2").tobytes())
    elif kind == "tif-big":
        tiff(path, GREY.astype(">u2"), 16, 1, order=">")
    elif kind == "tif-white":
        tiff(path, 65535 - GREY, 16, 1, zero_is_black=False)
    else:
        Image.fromarray(GREY).save(path)
    return path


@pytest.mark.parametrize("kind", ["png", "tif", "tif-big", "tif-white", "pgm", "jp2"])
def test_16_bits_are_scaled_by_their_type(tmp_path, kind):
    np.testing.assert_array_equal(grey_of(sixteen(tmp_path, kind)), BY_TYPE)
    assert moved(tmp_path / f"1.{kind.partition('-')[0]}") == (kind == "tif-white")  # Pillow shows its negative


def test_a_darker_picture_of_16_bits_comes_out_darker(tmp_path):
    dark = saved(tmp_path / "dark.png", Image.fromarray(np.full((2, 2), 250, np.uint16)))
    light = saved(tmp_path / "light.png", Image.fromarray(np.full((2, 2), 10_000, np.uint16)))
    assert (grey_of(dark).max(), grey_of(light).max()) == (1, 39)
    assert (moved(dark), moved(light)) == (True, False)


def test_12_bits_in_a_tiff_are_scaled_by_their_type(tmp_path):
    first, second = 0x0FF, 0xFFF
    packed = bytes([first >> 4, (first & 15) << 4 | second >> 8, second & 255])
    path = tiff(tmp_path / "1.tif", np.zeros((1, 2)), 12, 1, data=packed)
    assert grey_of(path).tolist() == [[16, 255]]


def test_grey_of_12_bits_in_a_pgm_is_scaled_by_what_its_header_says(tmp_path):
    (tmp_path / "1.pgm").write_bytes(b"P5 2 1 4095\n" + np.array([255, 4095], ">u2").tobytes())
    assert grey_of(tmp_path / "1.pgm").tolist() == [[16, 255]]


def test_a_transparent_grey_of_16_bits_shows_the_background(tmp_path):
    path = saved(tmp_path / "1.png", Image.fromarray(GREY), transparency=257)
    assert grey_of(path).tolist() == [[0, 255, 128], [1, 156, 255]]


WITHOUT_SCALE = {
    "floating-point": (np.array([[0, 0.25, 1]], "<f4"), 32, 3, (0, 1), [0, 64, 255]),
    "signed": (np.array([[-100, 0, 155]], "<i2"), 16, 2, (-100, 155), [0, 100, 255]),
    "signed ": (np.array([[-100, 0, 155]], "<i4"), 32, 2, (-100, 155), [0, 100, 255]),
    "signed g": (np.array([[-128, 0, 127]], "<i1"), 8, 2, (-128, 127), [0, 128, 255]),
    "32-bit": (np.array([[0, 1 << 31, (1 << 32) - 1]], "<u4"), 32, 1, (0, (1 << 32) - 1), [0, 128, 255]),
}


@pytest.mark.parametrize("kind", WITHOUT_SCALE)
def test_values_without_a_scale_are_refused_until_it_is_stated(tmp_path, kind):
    values, bits, number, ends, expected = WITHOUT_SCALE[kind]
    path = tiff(tmp_path / "1.tif", values, bits, number)
    for read in (decode, lambda path: FileImages((path,)).content()):
        with pytest.raises(DataError, match=rf"1\.tif holds {kind}(.|\n)*dataset\.pixel_range=\[0,1\]") as error:
            read(path)
        assert len(str(error.value).splitlines()) <= 3
    assert grey_of(path, pixel_range=ends).tolist() == [expected]
    assert moved(path, Viewing(pixel_range=ends))


def test_values_beyond_the_stated_range_are_black_and_white(tmp_path):
    path = saved(tmp_path / "1.png", Image.fromarray(np.array([[0, 1000, 2000, 4095, 60_000]], np.uint16)))
    assert grey_of(path, pixel_range=(1000, 3000)).tolist() == [[0, 0, 128, 255, 255]]


def test_a_stated_range_that_shows_what_was_shown_before_moves_no_fingerprint(tmp_path):
    path = saved(tmp_path / "1.png", Image.fromarray(np.array([[0, 100, 255]], np.uint16)))
    assert grey_of(path, pixel_range=(0, 255)).tolist() == [[0, 100, 255]]
    assert not moved(path, Viewing(pixel_range=(0, 255)))


def test_a_stated_range_leaves_8_bits_alone(tmp_path):
    path = saved(tmp_path / "1.png", Image.fromarray(COLOURS))
    np.testing.assert_array_equal(decode(path, Viewing(pixel_range=(0, 4095))), COLOURS)
    assert not moved(path, Viewing(pixel_range=(0, 4095)))


def test_values_that_are_no_numbers_are_refused(tmp_path):
    path = tiff(tmp_path / "1.tif", np.array([[0, np.nan]], "<f4"), 32, 3)
    with pytest.raises(DataError, match="NaN"):
        decode(path, Viewing(pixel_range=(0, 1)))


def test_16_bits_a_colour_keep_their_upper_8_and_know_no_other_range(tmp_path):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    colours = COLOURS.astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in colours)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0))
    path = tmp_path / "1.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    np.testing.assert_array_equal(decode(path), COLOURS)
    assert not moved(path)
    with pytest.raises(DataError, match=r"colours of 16 bits(.|\n)*8 bits"):
        moved(path, Viewing(pixel_range=(0, 4095)))


def test_the_first_picture_of_several_is_shown(tmp_path):
    first, second = Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)
    for suffix in (".tif", ".png", ".webp"):
        options = {"lossless": True} if suffix == ".webp" else {}
        path = saved(tmp_path / f"1{suffix}", first, save_all=True, append_images=[second], **options)
        assert FileImages((path,)).seen[0].frames
        assert np.abs(decode(path).astype(int) - COLOURS).max() <= 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"background": "whte"}, "background=whte: expected the name of a colour"),
        ({"background": None}, "background=null: expected text"),
        ({"pixel_range": (5, 5)}, r"pixel_range=\[5, 5\]: expected the values of black and white"),
        ({"pixel_range": (0, float("nan"))}, "pixel_range"),
        ({"pixel_range": (0, 1, 2)}, "pixel_range"),
        ({"pixel_range": 255}, "pixel_range=255"),
        ({"max_pixels": 0}, "max_pixels=0: expected a whole number"),
        ({"max_pixels": 2.5}, "max_pixels=2.5"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        Viewing(**settings)


@pytest.fixture
def _pillows_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.mark.usefixtures("_pillows_limit")
def test_a_picture_beyond_the_limit_says_its_size_the_limit_and_what_to_set(tmp_path):
    path = saved(tmp_path / "1.png", Image.new("1", (20_000, 10_000)))
    with pytest.raises(DataError, match=r"200,000,000 pixels.* limit of 178,956,970(.|\n)*max_pixels=200000000"):
        decode(path)
    with pytest.raises(DataError, match="limit of 1,000"):
        decode(path, Viewing(max_pixels=1000))


@pytest.mark.usefixtures("_pillows_limit")
def test_a_limit_that_is_raised_lets_a_picture_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    path = saved(tmp_path / "1.png", Image.fromarray(COLOURS))
    with pytest.raises(DataError, match="max_pixels=6"):
        decode(path)
    with pytest.warns(Image.DecompressionBombWarning):
        assert decode(path, Viewing(max_pixels=6)).shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s9--0.jpg\n", "git annex get"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"pillow-heif(.|\n)*pip install"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "pillow-heif"),
        (b"<svg/>", "is not an image that can be read"),
    ],
)
def test_what_is_no_picture_says_what_it_is(tmp_path, content, message):
    (tmp_path / "1.jpg").write_bytes(content)
    for read in (decode, lambda path: FileImages((path,)).content()):
        with pytest.raises(DataError, match=message):
            read(tmp_path / "1.jpg")


def test_a_truncated_picture_says_so(tmp_path):
    path = saved(tmp_path / "1.jpg", Image.fromarray(np.kron(COLOURS, np.ones((40, 40, 1), np.uint8))))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataError, match="truncated"):
        decode(path)


def test_suffixes_are_those_of_pictures():
    assert {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff",
            ".webp"} <= suffixes()  # fmt: skip
    assert not {".pdf", ".eps", ".mpg", ".h5", ".wmf", ".txt", ".fits"} & suffixes()


def test_modes_without_a_doubt_are_decoded_as_ever(tmp_path):
    image = Image.fromarray(COLOURS)
    for name, mode in (("1.png", "1"), ("2.png", "L"), ("3.png", "P"), ("4.tif", "CMYK"), ("5.tif", "YCbCr")):
        path = saved(tmp_path / name, image.convert(mode))
        with Image.open(path) as again:
            assert again.mode == mode
            np.testing.assert_array_equal(decode(path), np.asarray(again.convert("RGB")))
        assert not moved(path)
