import numpy as np
import pytest
import torch
from torchvision import transforms
from torchvision.transforms import v2

from scaling.core.errors import DataError, SettingError
from scaling.core.reading import shown
from scaling.modalities.images import Preprocessing
from scaling.modalities.images.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from scaling.models.base import TO_TENSOR


def images(count=5, height=20, width=28, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_an_array_and_a_list_of_the_same_images_agree(channels, interpolation):
    preprocessing = Preprocessing(resize=12, crop=10, interpolation=interpolation)
    pixels = images(channels=channels)
    torch.testing.assert_close(preprocessing.geometry(pixels), preprocessing.geometry(list(pixels)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("resize", "crop", "expected"),
    [(None, None, (20, 28)), (10, None, (10, 14)), (40, None, (40, 56)), (16, 12, (12, 12)), (None, 9, (9, 9))],
)
def test_the_shorter_side_is_resized_and_the_centre_cropped(resize, crop, expected):
    batch = Preprocessing(resize=resize, crop=crop).geometry(images())
    assert batch.shape == (5, 3, *expected)
    assert batch.dtype == torch.uint8


def test_images_of_several_sizes_become_one_batch_where_they_are_cropped():
    mixed = [images(1, 20, 30)[0], images(1, 50, 40)[0]]
    assert Preprocessing(resize=16, crop=16).geometry(mixed).shape == (2, 3, 16, 16)


def test_images_are_squeezed_where_the_aspect_counts_for_nothing():
    pixels = images()
    squeezed = Preprocessing(resize=12, crop=12, squeeze=True)
    wanted = v2.Resize((12, 12), antialias=True)(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    torch.testing.assert_close(squeezed.geometry(pixels), wanted, rtol=0, atol=0)
    assert squeezed.geometry_only().squeeze
    assert squeezed.identity() == {**Preprocessing(resize=12, crop=12).identity(), "squeeze": True}


def test_images_that_stay_of_several_sizes_are_an_error():
    with pytest.raises(DataError, match=r"Images of several sizes (.|\n)*model\.input_size="):
        Preprocessing(resize=16).geometry([images(1, 20, 30)[0], images(1, 20, 20)[0]])


def test_the_crop_is_from_the_centre():
    pixels = images(height=20, width=28)
    cropped = Preprocessing(crop=10).geometry(pixels)
    np.testing.assert_array_equal(cropped.permute(0, 2, 3, 1).numpy(), pixels[:, 5:15, 9:19])


def test_images_smaller_than_the_crop_are_padded_with_black():
    pixels = images(height=4, width=4)
    padded = Preprocessing(crop=6).geometry(pixels).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(padded[:, 1:5, 1:5], pixels)
    assert padded.sum() == pixels.sum()


@pytest.mark.parametrize("side", [12, 48])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_pixels_are_those_of_torchvision(interpolation, side):
    pixels = images(height=24, width=24)
    got = Preprocessing(resize=side, interpolation=interpolation).geometry(pixels)
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    mode = v2.InterpolationMode(interpolation)
    torch.testing.assert_close(got, v2.Resize(side, interpolation=mode, antialias=True)(batch), rtol=0, atol=0)


@pytest.mark.parametrize("side", [12, 48])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_pixels_are_within_two_roundings_of_the_exact_ones(interpolation, side):
    rows, columns = np.mgrid[:24, :24]
    smooth = 128 + 60 * np.sin(rows / 4) + 60 * np.cos(columns / 3)  # bicubic's overshoot stays within 0 … 255
    pixels = np.rint(smooth).astype(np.uint8)[None, :, :, None]
    got = Preprocessing(resize=side, interpolation=interpolation).geometry(pixels)
    exact = torch.nn.functional.interpolate(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).double(), (side, side), mode=interpolation, antialias=True
    )
    torch.testing.assert_close(got.double(), exact, rtol=0, atol=1.5)  # rounded twice: after rows, after columns


@pytest.mark.parametrize("channels", [1, 3])
def test_normalised_values_are_those_of_torchvision(channels):
    batch = torch.from_numpy(images(channels=channels)).permute(0, 3, 1, 2)
    got = Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD).normalise(batch)
    three = batch.expand(-1, 3, -1, -1)
    scaled = v2.functional.to_dtype(three, torch.float32, scale=True)
    expected = v2.functional.normalize(scaled, list(IMAGENET_MEAN), list(IMAGENET_STD))
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


def test_normalise_leaves_its_batch_alone():
    batch = torch.from_numpy(images()).permute(0, 3, 1, 2)
    before = batch.clone()
    Preprocessing(mean=(0.5,), std=(0.5,)).normalise(batch)
    assert torch.equal(batch, before)


def test_one_mean_serves_all_channels():
    batch = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2)
    got = Preprocessing(mean=(0.5,), std=(0.25,)).normalise(batch)
    assert got.tolist() == [[[[-2.0, 2.0]]] * 3]


def test_grey_stays_one_channel_where_none_are_asked_for():
    batch = torch.from_numpy(images(channels=1)).permute(0, 3, 1, 2)
    assert Preprocessing(channels=None).normalise(batch).shape[1] == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_to_tensor_is_torchvisions_totensor(channels):
    pixels = images(channels=channels)
    got = TO_TENSOR.normalise(TO_TENSOR.geometry(pixels))
    expected = torch.stack([transforms.ToTensor()(image) for image in pixels]).expand(-1, 3, -1, -1)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)


def test_at_size_resizes_without_cutting_the_rim():
    changed = Preprocessing(resize=256, crop=224, interpolation="bicubic", mean=(0.5,)).at_size(64)
    assert changed == Preprocessing(resize=64, crop=64, interpolation="bicubic", mean=(0.5,))


def test_at_no_size_nothing_changes():
    preprocessing = Preprocessing(resize=256, crop=224)
    assert preprocessing.at_size(None) == preprocessing


def test_every_parameter_is_part_of_the_identity():
    identity = Preprocessing(resize=9, crop=8, mean=(0.1, 0.2, 0.3)).identity()
    assert identity == {
        "resize": 9, "crop": 8, "interpolation": "bilinear", "mean": [0.1, 0.2, 0.3], "std": [1.0], "channels": 3,
    }  # fmt: skip


def test_normalisation_stays_in_float32_whatever_the_default_type_is():
    # Lightning's true half precisions change torch's default while a network runs.
    images = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4)
    preprocessing = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    expected = preprocessing.normalise(images)
    torch.set_default_dtype(torch.bfloat16)
    try:
        got = preprocessing.normalise(images)
    finally:
        torch.set_default_dtype(torch.float32)
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)


def test_an_augmentation_that_there_is_not_is_refused():
    with pytest.raises(
        SettingError, match=r"adaptation.augment=\['blur'\]: expected a list of crop, resized_crop, flip"
    ):
        Preprocessing().check_augment(["blur"])


@pytest.mark.parametrize("wrong", [{"resize": 0}, {"crop": "abc"}, {"crop": True}, {"channels": -1}, {"resize": 9.5}])
def test_sizes_are_positive_whole_numbers(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(SettingError, match=rf"model\.preprocessing\.{name}={shown(value)}: expected a whole number"):
        Preprocessing(**wrong)


def test_an_unknown_interpolation_names_the_known():
    with pytest.raises(SettingError, match=r"interpolation=cubic: expected one of nearest, bilinear, bicubic\."):
        Preprocessing(interpolation="cubic")
