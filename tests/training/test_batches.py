"""Batches: what they hold, how several processes share them, that nothing is read twice."""

import numpy as np
import pytest
import torch

from scaling.modalities.images import ArrayImages, FileImages, Preprocessing
from scaling.modalities.images.augment import augmented
from scaling.training.batches import PlainBatches, Share, TrainingBatches

LABELS = np.arange(10) % 3
PIXELS = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 1, 4, 4).contiguous()


def read(places):
    return {"images": PIXELS[places]}


def training(batch=8, micro_batch=None, share=None, augment=()):
    def augmenting(batch, seeds):
        return Preprocessing().augmented(batch, augment, seeds)

    return TrainingBatches(read, LABELS, batch, micro_batch, 0, augmenting, share or Share())


def of_step(batches, step):
    """The images and labels of a step, from all its parts."""
    found = [batches[step * len(batches.slices) + part] for part in range(len(batches.slices))]
    return torch.cat([batch["images"] for batch, *_ in found]), torch.cat([labels for _, labels, _ in found])


def test_parts_and_processes_share_a_batch_without_a_gap():
    crop = ("crop", "flip")
    images, labels = of_step(training(augment=crop), 3)
    parts, part_labels = of_step(training(augment=crop, micro_batch=3), 3)
    assert torch.equal(parts, images)
    assert torch.equal(part_labels, labels)
    shares = [of_step(training(augment=crop, share=Share(rank, 2)), 3) for rank in range(2)]
    assert torch.equal(torch.stack([shares[0][0], shares[1][0]], 1).flatten(0, 1), images)
    assert images[:, 0, 0, 0].numpy() % 3 == pytest.approx(labels.numpy())


@pytest.mark.parametrize(("micro_batch", "processes"), [(None, 1), (3, 1), (5, 2), (1, 2)])
def test_the_factors_make_the_mean_over_parts_and_processes_that_of_the_batch(micro_batch, processes):
    every = [training(micro_batch=micro_batch, share=Share(rank, processes)) for rank in range(processes)]
    parts = len(every[0].slices)
    found = [batches[part] for batches in every for part in range(parts)]
    mean = sum(float(labels.float().mean() * factor) for _, labels, factor in found) / len(found)
    assert mean == pytest.approx(float(of_step(training(), 0)[1].float().mean()))


def test_every_sample_is_predicted_by_one_process():
    seen = [batch["images"] for rank in range(3) for batch, _ in PlainBatches(read, LABELS, 2, Share(rank, 3))]
    assert sorted(torch.cat(seen)[:, 0, 0, 0].tolist()) == list(range(10))
    assert list(PlainBatches(read, LABELS, 2, Share(0, 3)).places) == [0, 3, 6, 9]


def test_images_are_augmented_each_on_its_own_and_by_their_seeds_alone():
    images = torch.randint(0, 255, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for names in (["crop"], ["resized_crop"], ["flip"], ["randaugment"], ["crop", "flip", "randaugment"]):
        seeds = np.arange(6) * 1000
        state = torch.random.get_rng_state()
        done = augmented(images, names, seeds)
        assert torch.equal(torch.random.get_rng_state(), state)
        assert (done.shape, done.dtype) == (images.shape, images.dtype)
        assert torch.equal(augmented(images[2:3], names, seeds[2:3])[0], done[2])
        assert not torch.equal(done, images)
    same = augmented(images[:1].expand(40, -1, -1, -1), ["flip"], np.arange(40))
    flipped = sum(torch.equal(image, images[0].flip(-1)) for image in same)
    assert 8 < flipped < 32
    assert augmented(images, [], np.arange(6)) is images


def test_held_images_are_read_once(monkeypatch):
    reads = []

    class Counting(ArrayImages):
        def read(self, indices):
            reads.extend(indices.tolist())
            return super().read(indices)

    images = Counting(PIXELS.permute(0, 2, 3, 1).numpy())
    read = Preprocessing().reader(images).held(np.array([1, 4, 7]))
    assert read(np.array([2, 0]))["images"][:, 0, 0, 0].tolist() == [7, 1]
    assert read(np.array([1]))["images"][:, 0, 0, 0].tolist() == [4]
    assert reads == [1, 4, 7]
    monkeypatch.setattr("scaling.modalities.images.decoded.MEMORY_SHARE", 0.0)
    read = Preprocessing().reader(images).held(np.array([1, 4, 7]))
    assert read(np.array([2, 0]))["images"][:, 0, 0, 0].tolist() == [7, 1]
    assert reads[3:] == [1, 4, 7, 7, 1]


def test_files_are_decoded_once(tmp_path, monkeypatch):
    from PIL import Image

    from scaling.modalities.images import samples

    paths = tuple(tmp_path / f"{i}.png" for i in range(3))
    for i, path in enumerate(paths):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(path)
    real, decoded = samples.decode, []
    monkeypatch.setattr(samples, "decode", lambda path, *how: decoded.append(path) or real(path, *how))
    read = Preprocessing(resize=4, crop=4).reader(FileImages(paths)).held(np.arange(3))
    for _ in range(3):
        assert read(np.array([2, 1]))["images"][:, 0, 0, 0].tolist() == [2, 1]
    assert sorted(decoded) == sorted(paths)
