"""Programs that were compiled before: found again, mended where damaged, shared by processes."""

import multiprocessing
import os

import numpy as np
import pytest
from program_samples import draw

import kinematics
from kinematics.programs import compile_robot
from kinematics.programs.compiler import disk_cache


def test_second_call_comes_from_the_cache_and_damage_is_mended(tmp_path):
    robot = kinematics.load("double_pendulum")
    arrays = draw(robot, 9)
    first = compile_robot(robot, "aba")
    assert not first.from_cache
    again = compile_robot(robot, "aba")
    assert again.from_cache
    np.testing.assert_array_equal(first(*arrays), again(*arrays))
    assert again.operations == first.operations
    assert "define void @kernel" in again.source("llvm")
    assert not compile_robot(robot.replace(pi=robot.pi * 2), "aba").from_cache
    entries = sorted(disk_cache.folder().iterdir())
    assert len(entries) == 2
    sound = entries[0].read_bytes()
    header = sound.replace(b'"sizes": [2', b'"sizes": [3', 1)  # one letter of the description
    assert header != sound
    for damage in (b"", b"not a kernel", sound[:-7], header):
        for entry in entries:
            entry.write_bytes(damage)
        rebuilt = compile_robot(robot, "aba")
        assert not rebuilt.from_cache
        np.testing.assert_array_equal(first(*arrays), rebuilt(*arrays))
        assert compile_robot(robot, "aba").from_cache


def _compile_in_child(folder, results):
    os.environ["WORLDLAW_CACHE"] = folder
    robot = kinematics.load("double_pendulum")
    arrays = draw(robot, 16)
    results.put(compile_robot(robot, "aba")(*arrays).tolist())


@pytest.mark.slow
def test_processes_may_compile_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [
        context.Process(target=_compile_in_child, args=(str(tmp_path / "shared"), results))
        for _ in range(2)
    ]
    for w in workers:
        w.start()
    answers = [results.get(timeout=120) for _ in workers]
    for w in workers:
        w.join()
    assert answers[0] == answers[1]
    assert len(list((tmp_path / "shared").iterdir())) == 1  # nothing half-written is left


def test_no_cache_where_it_is_switched_off(monkeypatch):
    monkeypatch.setenv("WORLDLAW_CACHE", "off")
    robot = kinematics.load("double_pendulum")
    assert not compile_robot(robot, "crba").from_cache
    assert not compile_robot(robot, "crba").from_cache
