import hashlib
import pickle
from argparse import Namespace
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


WRAPS = {
    "bare": lambda state: state,
    "Lightning": lambda state: {
        "state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 0.1}, "optimizer_states": [{"state": {}}],
        "best": torch.tensor(0.9),
    },
    "model": lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}}},
    "model_state_dict": lambda state: {"epoch": 3, "model_state_dict": state, "loss": torch.tensor(1.0)},
    "net": lambda state: {"net": state, "acc": 91.2},
    "ema": lambda state: {"ema": state, "updates": 7},
    "ema beside model": lambda state: {"ema": network(5).state_dict(), "model": state},
    "ema inside": lambda state: {"ema": {"state_dict": state}},
    "any name, if it is the only one": lambda state: {"resnet": state, "args": {"lr": 0.1}},
    "with what is no tensor": lambda state: {**state, "version": 2},
}  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPS)
def test_state_dict_is_read_bare_or_wrapped(tmp_path, wrap):
    state = network().state_dict()
    torch.save(WRAPS[wrap](state), tmp_path / "a.pt")
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


def test_a_pickle_says_what_else_it_holds_and_how_to_take_the_weights_out(tmp_path):
    torch.save({"state_dict": network().state_dict(), "hyper_parameters": Namespace(lr=0.1)}, tmp_path / "a.ckpt")
    with pytest.raises(ModelError, match=r"more than tensors, argparse\.Namespace; ") as error:
        weights.read(tmp_path / "a.ckpt")
    assert '["state_dict"], NEW)' in str(error.value)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ([torch.zeros(2)], "a list"),
        (torch.zeros(2), "a Tensor"),
        ({"epoch": 3}, "a dict with epoch"),
        ({"student": {"w": torch.zeros(2)}, "teacher": {"w": torch.zeros(2)}}, "a dict with student, teacher"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path, content, shown):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ModelError, match=rf"a\.pt holds {shown}, expected a state dict"):
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
    state = {name.replace("3.", "head."): value for name, value in network().state_dict().items()}
    with pytest.raises(ModelError, match=r"2 missing, e\.g\. 3\.weight; 2 unknown, e\.g\. head\.weight\."):
        fit(state)


def prefixed(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize("match", ["names", "order"])
@pytest.mark.parametrize(
    "prefix", ["model.", "module.", "_orig_mod.", "module._orig_mod.", "backbone.", "net.", "encoder.", "a.b.c."]
)
def test_what_all_names_begin_with_is_taken_off(prefix, match):
    state = network(seed=1).state_dict()
    assert same(fit(prefixed(prefix, state), match), state)


BESIDE = {
    "a loss's weights, as Lightning keeps them": {"criterion.weight": torch.ones(3)},
    "a metric's state": {"val_acc.correct": torch.tensor(3), "val_acc.total": torch.tensor(4)},
    "the count of averaged weights": {"n_averaged": torch.tensor(7)},
    "a projector": {"projector.0.weight": torch.ones(2, 2)},
}


@pytest.mark.parametrize("beside", BESIDE)
def test_what_lies_beside_the_network_is_no_part_of_it(beside):
    state = network(seed=1).state_dict()
    assert same(fit({**BESIDE[beside], **prefixed("model.", state)}), state)


def test_wrappers_of_single_layers_are_taken_off():
    state = network(seed=1).state_dict()
    for wrapper in ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"):
        wrapped = {name.replace("1.", f"1.{wrapper}."): value for name, value in state.items()}
        assert same(fit(wrapped), state)
        assert same(fit(prefixed("module.", wrapped)), state)


def test_several_networks_in_one_file_are_refused():
    states = [prefixed(name, network(seed).state_dict()) for seed, name in enumerate(("model.", "ema_model."))]
    with pytest.raises(ModelError, match=r"it holds 2 networks, model\., ema_model\.; save one of them alone"):
        fit(states[0] | states[1])


def test_an_entry_that_is_missing_or_unknown_under_a_prefix_is_named():
    state = prefixed("model.", network().state_dict())
    with pytest.raises(ModelError, match=r"1 unknown, e\.g\. model\.4\.bias\."):
        fit({**state, "model.4.bias": torch.zeros(2)})
    del state["model.3.bias"]
    with pytest.raises(ModelError, match=r"1 missing, e\.g\. 3\.bias; 1 unknown, e\.g\. head\.bias\."):
        fit({**state, "head.bias": torch.zeros(3)})


def test_the_count_of_batches_is_needed_by_nobody():
    state = network(seed=1).state_dict()
    without = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(without) < len(state)
    assert same(fit(without), state)
    more = {**state, "0.num_batches_tracked": torch.tensor(3)}
    assert same(fit(more), state)


def test_positions_alone_are_brought_to_another_size():
    expected = {"pos_embed": torch.zeros(1, 4), "head.weight": torch.zeros(2, 3)}
    seen = []

    def resized(state):
        seen.append(list(state))
        return {**state, "pos_embed": state["pos_embed"][:, :4]}

    state = {"m.pos_embed": torch.ones(1, 9), "m.head.weight": torch.ones(2, 3)}
    assert weights.fit(state, expected, Path("a.pt"), "names", resized)["pos_embed"].shape == (1, 4)
    assert seen == [["pos_embed", "head.weight"]]
    state["m.head.weight"] = torch.ones(5, 3)
    with pytest.raises(ModelError, match=r"head\.weight has shape \(5, 3\), the network expects \(2, 3\)"):
        weights.fit(state, expected, Path("a.pt"), "names", resized)
    assert len(seen) == 1


def test_a_head_of_another_size_says_which_number_of_classes_it_has():
    with pytest.raises(ModelError, match=r"expects \(5, 8\) \(if that is its head: model\.num_classes=3\)\."):
        fit(network().state_dict(), outputs=5)


@pytest.mark.parametrize("match", ["names", "order"])
def test_entry_of_another_shape_is_named(match):
    with pytest.raises(ModelError, match=r"3\.weight has shape \(3, 8\), the network expects \(5, 8\)"):
        fit(network().state_dict(), match, outputs=5)


def test_entries_of_other_names_are_matched_by_order():
    state = {f"stem_{name}": value for name, value in network(seed=1).state_dict().items()}
    assert same(fit(state, "order"), network(seed=1).state_dict())


def test_order_needs_the_same_number_of_entries():
    state = dict(list(network().state_dict().items())[:-1])
    with pytest.raises(ModelError, match="it holds 8 entries, the network has 9"):
        fit(state, "order")


def test_order_needs_the_same_kinds_of_entries():
    state = {f"stem_{name}": value for name, value in reversed(network().state_dict().items())}
    with pytest.raises(ModelError, match=r"stem_3\.bias stands where 0\.weight is expected"):
        fit(state, "order")


def test_the_networks_own_names_count_more_than_their_order():
    state = dict(sorted(network(seed=1).state_dict().items(), reverse=True))  # as safetensors reorders them
    fitted, expected = fit(state, "order"), network(seed=1).state_dict()
    assert same({name: fitted[name] for name in expected}, expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: (value * 100).to(torch.int8),  # quantised, without its scale
        lambda value: value.to(torch.complex64),
        lambda value: value.to("meta"),
        lambda value: value.to_sparse(),
    ],
)
def test_entries_that_hold_other_kinds_of_numbers_are_refused(change):
    state = nn.Linear(2, 3).state_dict()
    with pytest.raises(ModelError, match=r"weight holds .*, the network expects torch\.float32"):
        weights.fit({**state, "weight": change(state["weight"])}, state, Path("a.pt"), "name")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_entries_of_another_precision_are_taken(kind):
    state = nn.Linear(2, 3).state_dict()
    assert weights.fit({name: value.to(kind) for name, value in state.items()}, state, Path("a.pt"), "name")
