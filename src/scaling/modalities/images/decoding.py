"""From an image file to the pixels that a viewer shows: upright, over a background, on a scale that is stated."""

import hashlib
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scaling.core.errors import DataError, SettingError
from scaling.core.reading import Checked, Count

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]

#: How Pillow's transpositions are numbered for each value of EXIF's orientation; 1 is upright.
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
ORIENTATION = 274
#: Where a PNG keeps EXIF data; they may stand behind the pixels, which Pillow would decode to find them.
PNG_EXIF = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
#: Tags of a TIFF (bits a sample, what 0 stands for, kind of number), and two kinds of number.
BITS, PHOTOMETRIC, KIND = 258, 262, 339
UNSIGNED, SIGNED = 1, 2
#: Formats beside TIFF whose grey pictures of more than 8 bits use all of 16.
SIXTEEN_BITS = ("JPEG2000", "PNG", "PPM")
#: Formats that hold pictures; Pillow also opens documents, videos and tables of measurements.
FORMATS = (
    "AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "PSD",
    "QOI", "SGI", "TGA", "TIFF", "WEBP",
)  # fmt: skip
HEIF_INSTALL = "pip install 'scaling-curves[heif]'"
HEIF_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif")
HEIF = re.compile(rb".{4}ftyp(hei|hev|mif|msf)", re.DOTALL)
#: How files begin that stand for data which nobody fetched, and what fetches them.
POINTERS = {b"version https://git-lfs": "git lfs pull", b"/annex/objects/": "git annex get"}
#: What Pillow raises on damaged files.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, TypeError, RuntimeError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Viewing(Checked):
    """How picture files are shown.

    Attributes:
        background: what shows through where a picture is transparent: a colour's name, or #rrggbb.
        pixel_range: the values of grey pictures of more than 8 bits that are black and white; None takes the ends
            of the file's type, where it has such.
        max_pixels: pixels that a picture may have; None takes Pillow's limit.
    """

    background: str = "white"
    pixel_range: tuple[float, float] | None = None
    max_pixels: Count | None = None

    node: ClassVar[str] = "dataset"

    def __post_init__(self) -> None:
        from PIL import ImageColor

        super().__post_init__()
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise SettingError(
                f"dataset.background={self.background}: expected the name of a colour, such as white, black or gray."
            ) from None
        if self.pixel_range is not None and not self.pixel_range[0] < self.pixel_range[1]:
            raise SettingError(
                f"dataset.pixel_range={list(self.pixel_range)}: expected the values of black and white, such as"
                " [0,4095], or null."
            )


@dataclass(frozen=True)
class Seen:
    """What one look at a file tells.

    Attributes:
        content: SHA-256 of its bytes, followed by one of its pixels where version 0.1 showed others.
        brightest: the largest value of a picture of 16 bits and its type's largest, where that is its scale.
        frames: whether it holds pictures beside the first.
    """

    content: bytes
    brightest: tuple[float, float] | None = None
    frames: bool = False


#: How files are shown where nothing is set.
AS_THEY_ARE = Viewing()


def decode(path: Path, viewing: Viewing = AS_THEY_ARE) -> Pixels:
    """Decode the first picture of a file to RGB, shape (H, W, 3), as a viewer shows it.

    Raises:
        DataError: it can't be decoded, or its values have no scale.
    """
    with _readable(path, viewing) as pillow, pillow.open(path) as image:
        return _shown(path, image, viewing)


def look(path: Path, viewing: Viewing) -> Seen:
    """Read a file once: check that it is an image, and tell what it holds. Few have to be decoded for that.

    Raises:
        DataError: as `decode`; damage behind the header of a plain picture is found when it is decoded.
    """
    with _readable(path, viewing) as pillow:
        data = path.read_bytes()
        content = hashlib.sha256(data).digest()
        with pillow.open(BytesIO(data)) as image:
            frames = image.format != "MPO" and bool(getattr(image, "is_animated", False))
            deep_grey = _is_deep_grey(image)
            deep_colour = ";16" in str(image.tile) and not deep_grey
            if deep_colour and viewing.pixel_range not in (None, (0, 65_535)):
                raise DataError(
                    f"{path} has colours of 16 bits, of which the upper 8 are read: dataset.pixel_range= is for grey"
                    " pictures.\nScale its colours, and save them with 8 bits."
                )
            if deep_grey or deep_colour or _is_transparent(image):
                pixels = _shown(path, image, viewing)
                if not np.array_equal(pixels, _as_before(image)):
                    content += hashlib.sha256(pixels.tobytes()).digest()
                if viewing.pixel_range is not None or not (deep_grey or deep_colour):
                    return Seen(content, None, frames)
                values, top = (_values(image), _top(image)) if deep_grey else (np.asarray(image)[..., :3], 255)
                return Seen(content, (float(values.max()), float(top or 0)), frames)
            if image.format == "PNG" and not any(key in data for key in PNG_EXIF):
                image.verify()
            elif image.format != "TIFF" and _turn(image) is not None:  # Pillow itself turns what a TIFF holds
                content += b"upright"
            return Seen(content, None, frames)


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of picture files that can be read here."""
    pillow = _pillow()
    pillow.init()
    known = pillow.registered_extensions()
    return frozenset(suffix for suffix, kind in known.items() if kind in FORMATS and kind in pillow.OPEN)


def is_picture(path: Path) -> bool:
    """Say whether a file that lacks a suffix begins as a picture does."""
    try:
        with _pillow().open(path, formats=[kind for kind in FORMATS if kind in _pillow().OPEN]):
            return True
    except DAMAGE:
        return False


@cache
def _pillow() -> Any:
    """Return Pillow, which reads HEIF too where pillow-heif is installed."""
    from PIL import Image

    if find_spec("pillow_heif"):
        import_module("pillow_heif").register_heif_opener()
    return Image


@contextmanager
def _readable(path: Path, viewing: Viewing) -> Iterator[Any]:
    """Lend Pillow; what it raises on a file becomes a DataError."""
    pillow = _pillow()
    if viewing.max_pixels is not None:
        pillow.MAX_IMAGE_PIXELS = -(-viewing.max_pixels // 2)  # up to twice as many are read
    try:
        yield pillow
    except pillow.DecompressionBombError as error:
        pixels, limit = (int(number) for number in re.findall(r"\d+", str(error))[:2])
        raise DataError(
            f"{path} has {pixels:,} pixels, more than the limit of {limit:,}.\n"
            f"Make it smaller or remove it; or set dataset.max_pixels={pixels}."
        ) from error
    except DAMAGE as error:
        raise DataError(_why_not(path, error)) from error


def _why_not(path: Path, error: Exception) -> str:
    """Say why a file is no image that can be read, and what to do."""
    if isinstance(error, OSError) and error.strerror:
        return f"{path} can't be read ({error.strerror})."
    with path.open("rb") as file:
        head = file.read(200)
    if not head:
        return f"{path} is empty.\nFetch it again or remove it."
    for sign, command in POINTERS.items():
        if sign in head:
            return f"{path} only stands for a picture that was not fetched.\nFetch it: {command}"
    if HEIF.match(head):
        return f"{path} is a HEIF picture, which needs the Python package pillow-heif.\nInstall it: {HEIF_INSTALL}"
    reason = type(error).__name__ + (
        f": {error}" if type(error) in (OSError, RuntimeError, SyntaxError, ValueError) else ""
    )
    return f"{path} is not an image that can be read ({reason}).\nReplace it or remove it."


def _shown(path: Path, image: "Image.Image", viewing: Viewing) -> Pixels:
    """Return what a viewer shows of an opened file."""
    pillow = _pillow()
    image.load()
    shown = _grey(path, image, viewing) if _is_deep_grey(image) else image
    if _is_transparent(shown):
        above = shown.convert("RGBA")
        shown = pillow.alpha_composite(pillow.new("RGBA", above.size, viewing.background), above)
    shown, turn = shown.convert("RGB"), _turn(image)
    return np.asarray(shown if turn is None else shown.transpose(turn))


def _turn(image: "Image.Image") -> Any:
    """Return the transposition that puts a picture upright; None where it is, or where its EXIF data are damaged."""
    with suppress(Exception):  # a viewer shows the picture all the same
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    return None


def _is_transparent(image: "Image.Image") -> bool:
    palette = getattr(image.palette, "mode", "")
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "A" in palette or "transparency" in image.info


def _tag(image: "Image.Image", number: int, default: int) -> int:
    """Return the first value of a TIFF's tag; the default in other formats."""
    value = getattr(image, "tag_v2", {}).get(number, default)
    return value[0] if isinstance(value, tuple) else value


def _is_deep_grey(image: "Image.Image") -> bool:
    """Say whether grey values are of more than 8 bits, or signed: Pillow's conversion would cut them off."""
    return image.mode.startswith(("I", "F")) or _tag(image, KIND, UNSIGNED) != UNSIGNED


def _top(image: "Image.Image") -> int | None:
    """Return the value that is white by a grey picture's type; None where it is signed, float or of 32 bits."""
    if image.format == "TIFF":
        bits, kind = _tag(image, BITS, 8), _tag(image, KIND, UNSIGNED)
        return (1 << bits) - 1 if kind == UNSIGNED and bits <= 16 else None
    return 65_535 if image.format in SIXTEEN_BITS and image.mode.startswith("I") else None


def _values(image: "Image.Image") -> NDArray[np.float64]:
    """Return grey values as they are meant; Pillow holds signed bytes as unsigned, and 32 unsigned bits as signed."""
    values, kind = np.asarray(image), _tag(image, KIND, UNSIGNED)
    if values.dtype == np.uint8 and kind == SIGNED:
        values = values.view(np.int8)
    if image.format == "TIFF" and values.dtype == np.int32 and kind == UNSIGNED:
        values = values.view(np.uint32)
    return values.astype(np.float64)


def _grey(path: Path, image: "Image.Image", viewing: Viewing) -> "Image.Image":
    """Scale grey values to 0 … 255."""
    values, (low, high) = _values(image), viewing.pixel_range or (0, _top(image))
    if np.isnan(values).any():
        raise DataError(f"{path} holds values that are no number (NaN).\nFill them in, or remove it.")
    if high is None:
        kind = {"F": "floating-point"}.get(image.mode, "signed" if _tag(image, KIND, 1) == SIGNED else "32-bit")
        raise DataError(
            f"{path} holds {kind} grey values, here from {values.min():g} to {values.max():g}: it doesn't say which of"
            " them are black and white.\nState it for all pictures, as in dataset.pixel_range=[0,1], or save them with"
            " 8 bits."
        )
    black, white = (high, low) if _tag(image, PHOTOMETRIC, 1) == 0 else (low, high)
    levels = (values - black) * (255 / (white - black))
    grey = _pillow().fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    if isinstance(clear := image.info.get("transparency"), int):
        grey.putalpha(_pillow().fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _as_before(image: "Image.Image") -> Pixels:
    """Decode a loaded picture as version 0.1 did: fingerprints of files that are shown otherwise now have to differ."""
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image).astype(np.float64)
        top = 65_535.0 if levels.max(initial=0) > 255 else 255.0
        with np.errstate(invalid="ignore"):
            grey = np.clip(np.rint(levels * (255 / top)), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray((image.convert("RGBA") if "transparency" in image.info else image).convert("RGB"))
