"""Stored data sets: whole or refused, self-describing, and never half written."""

import os
import resource
import signal
import subprocess
import sys
import textwrap

import h5py
import pytest
import torch

from discover.data.dataset import Dataset, describe, load
from discover.errors import DatasetError, OutputError


@pytest.fixture
def dataset(two_joints):
    rows = torch.Generator().manual_seed(0)
    n = 300
    q, v, tau, a = (torch.randn(n, 2, generator=rows, dtype=torch.float64) for _ in range(4))
    return Dataset(
        q=q,
        v=v,
        tau=tau,
        a=a,
        trajectory=torch.arange(n) // 10,
        t=torch.arange(n, dtype=torch.float64) % 10 * 0.01,
        split=torch.arange(n) % 3,
        metadata=describe(two_joints, seed=7, region={"q": 1.0, "v": 2.0, "tau": 5.0}),
    )


def test_what_is_stored_comes_back(dataset, tmp_path):
    path = dataset.save(tmp_path / "new" / "data.h5")
    again = load(path)
    assert again.hash == dataset.hash
    assert again.metadata == dataset.metadata
    for name in ("q", "v", "tau", "a", "trajectory", "t", "split"):
        assert torch.equal(getattr(again, name), getattr(dataset, name))
    assert again.q_next is None
    assert os.listdir(path.parent) == ["data.h5"]


def test_the_file_describes_itself_to_any_reader(dataset, tmp_path):
    with h5py.File(dataset.save(tmp_path / "data.h5")) as file:
        assert list(file["q"].attrs["coordinates"]) == ["shoulder", "elbow"]
        assert list(file["tau"].attrs["units"]) == ["N*m", "N*m"]
        assert list(file["a"].attrs["units"]) == ["rad/s^2", "rad/s^2"]
        assert "train" in file["split"].attrs["meaning"]
        for word in ("seed", "versions", "worldlaw", "frames"):
            assert word in file.attrs["metadata"]


def test_the_same_data_make_the_same_file(dataset, tmp_path):
    first = dataset.save(tmp_path / "a.h5").read_bytes()
    assert dataset.save(tmp_path / "b.h5").read_bytes() == first


def test_the_hash_follows_the_content(dataset):
    moved = dataset.q.clone()
    moved[5, 1] += 1e-12
    from dataclasses import replace

    assert replace(dataset, q=moved).hash != dataset.hash
    assert replace(dataset, metadata={**dataset.metadata, "seed": 8}).hash != dataset.hash


def damaged(content: bytes) -> dict[str, bytes]:
    middle = len(content) // 2
    return {
        "empty": b"",
        "cut in its head": content[:100],
        "cut before its end": content[:-1],
        "cut in half": content[:middle],
        "longer than it says": content + b"\0",
        "one bit flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "zeros in its middle": content[:middle] + bytes(64) + content[middle + 64 :],
        "foreign": b"q,v,tau\n" * 200,
        "foreign json": b'{"format": "something else"}'.ljust(600),
        "json that is no table": b"[1]".ljust(600),
    }


@pytest.mark.parametrize("damage", damaged(bytes(2000)))
def test_a_damaged_file_is_refused_in_one_line(damage, dataset, tmp_path):
    path = dataset.save(tmp_path / "data.h5")
    path.write_bytes(damaged(path.read_bytes())[damage])
    with pytest.raises(DatasetError) as error:
        load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_another_hdf5_file_and_an_absent_one_are_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["q"] = [1.0]
    with pytest.raises(DatasetError, match="expected a file that says"):
        load(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        load(tmp_path / "absent.h5")
    with pytest.raises(DatasetError, match="cannot be read"):
        load(tmp_path)


def test_an_edited_file_is_refused(dataset, tmp_path):
    path = dataset.save(tmp_path / "data.h5")
    with h5py.File(path, "r+") as file:
        file["a"][3, 0] = 1.0
    with pytest.raises(DatasetError, match=r"edited|cut off or added"):
        load(path)


def test_the_stored_hash_is_checked_too(dataset, tmp_path, monkeypatch):
    """A file sealed over wrong arrays, as a faulty writer would make it."""
    monkeypatch.setattr(Dataset, "hash", property(lambda self: "0" * 64))
    path = dataset.save(tmp_path / "data.h5")
    monkeypatch.undo()
    with pytest.raises(DatasetError, match="do not match the hash"):
        load(path)


KILLED = """
    import os, signal, sys, torch
    from discover.data.dataset import load
    old = load(sys.argv[1])
    moment = sys.argv[2]
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(os, moment, die)
    from dataclasses import replace
    replace(old, q=old.q + 1).save(sys.argv[1])
"""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
@pytest.mark.slow
def test_a_write_that_is_killed_leaves_the_old_file(moment, dataset, tmp_path):
    path = dataset.save(tmp_path / "data.h5")
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path), moment], timeout=120
    )
    assert ended.returncode == -signal.SIGKILL
    assert load(path).hash == dataset.hash
    # What is left of the new one is beside it, and is hidden from a look for data sets.
    assert [p.name for p in tmp_path.glob("*.h5")] == ["data.h5"]
    assert len(os.listdir(tmp_path)) == 2


FULL = """
    import resource, signal, sys
    from discover.data.dataset import load
    from discover.errors import OutputError
    data = load(sys.argv[1])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        data.save(sys.argv[2])
    except OutputError as error:
        print(error)
        sys.exit(2)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_a_disk_without_room_is_one_line_and_leaves_nothing(dataset, tmp_path):
    path = dataset.save(tmp_path / "data.h5")
    new = tmp_path / "full" / "data.h5"
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(path), str(new)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout.count("\n") == 1
    assert str(new) in ended.stdout
    assert os.listdir(new.parent) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_no_space_left_is_named(dataset, tmp_path, monkeypatch):
    """ENOSPC itself, from the device that always gives it."""
    import pathlib

    def full(self, content):
        with open("/dev/full", "wb") as file:
            file.write(content)

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        dataset.save(tmp_path / "data.h5")
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written_are_one_line(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as error:
        dataset.save(tmp_path / "file" / "data.h5")
    assert "\n" not in str(error.value)
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(OutputError):
        dataset.save(tmp_path / "folder.h5")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        # Root may write anywhere but where the kernel itself says no.
        locked = "/proc"
    with pytest.raises(OutputError):
        dataset.save(f"{locked}/data.h5")


def test_parts_and_selections(dataset):
    parts = [dataset.part(name) for name in ("train", "validation", "test")]
    assert [len(p) for p in parts] == [100, 100, 100]
    assert set(parts[1].split.tolist()) == {1}
    assert torch.equal(parts[1].q, dataset.q[1::3])
    with pytest.raises(DatasetError, match="expected a split"):
        dataset.part("training")
    small = dataset.to(dtype=torch.float32)
    assert small.a.dtype == torch.float32
    assert small.trajectory.dtype == torch.int64


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: {"v": d.v[:-1]}, "expected v of shape"),
        (lambda d: {"tau": d.tau[:, :1]}, "expected tau of shape"),
        (lambda d: {"a": None}, "found neither"),
        (lambda d: {"a": torch.full_like(d.a, float("nan"))}, "sample 0"),
        (lambda d: {"split": d.split[:, None]}, "expected split of shape"),
        (lambda d: {"t": d.t + float("inf")}, "found t"),
    ],
)
def test_data_that_do_not_fit_together_are_refused(change, match, dataset):
    from dataclasses import replace

    with pytest.raises(DatasetError, match=match):
        replace(dataset, **change(dataset))
