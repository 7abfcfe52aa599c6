"""A file is whole or absent, whatever interrupts; the same content has the same hash."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from discover import artifacts
from discover.errors import OutputError


def test_a_failing_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = artifacts.write_text(tmp_path / "a.txt", "old")

    def fill(part: Path) -> None:
        part.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        artifacts.write(path, fill)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_bug_while_writing_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    def fill(part: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        artifacts.write(tmp_path / "a.txt", fill)
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        artifacts.write_text(tmp_path / "file" / "a.txt", "x")
    assert "\n" not in str(caught.value)


def test_what_a_killed_run_left_half_written_is_swept(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    litter = tmp_path / "deep" / f".a.txt.{os.getpid()}{artifacts.PART}"
    litter.write_text("half")
    kept = artifacts.write_text(tmp_path / "deep" / "a.txt", "whole")
    artifacts.sweep_parts(tmp_path)
    assert not litter.exists()
    assert kept.read_text() == "whole"


def test_arrays_have_reproducible_bytes(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    paths = [artifacts.write_arrays(tmp_path / name, x=x) for name in ("a.npz", "b.npz")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert np.array_equal(np.load(paths[0])["x"], x)


def test_hashes_follow_values_and_not_their_order_or_type() -> None:
    left = {"a": 1, "b": [1.0, 2.0]}
    right = {"b": torch.tensor([1.0, 2.0]), "a": 1}
    assert artifacts.value_hash(left) == artifacts.value_hash(right)
    assert artifacts.value_hash(left) != artifacts.value_hash({**left, "a": 2})


def test_plain_is_strict_json(tmp_path: Path) -> None:
    path = artifacts.write_json(tmp_path / "a.json", {"x": math.nan, "y": np.float64(math.inf)})
    assert artifacts.read_json(path) == {"x": None, "y": None}


def test_what_json_cannot_hold_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError):
        artifacts.plain({"x": object()})
