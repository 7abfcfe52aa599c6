"""Calls of compiled programs: answers into given arrays, and memory that is used again."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import kinematics
from kinematics.programs import ProgramError


@pytest.fixture(scope="module")
def program():
    return kinematics.compile(kinematics.load("double_pendulum"), "aba")


def states(*batch, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(*batch, 2)) for _ in range(3)]


@pytest.mark.parametrize("batch", [(), (1,), (3,), (17,), (4, 5), (0,)])
def test_answers_into_a_given_array(program, batch):
    given = states(*batch)
    out = np.full((*batch, 2), np.nan)
    assert program(*given, out=out) is out
    assert np.array_equal(out, program(*given))
    out[...] = np.nan
    assert program(*(x.astype(np.float64, order="F") for x in given), out=out) is out
    assert np.array_equal(out, program(*given))


def test_broadcast_inputs_fill_the_whole_array(program):
    q, v, tau = states(6)
    out = np.empty((6, 2))
    program(q[0], v, tau[:1], out=out)
    whole = (np.broadcast_to(x, (6, 2)) for x in (q[0], v, tau[:1]))
    assert np.array_equal(out, program(*whole))


def test_out_that_cannot_be_filled_is_refused_in_one_line(program):
    given = states(6)
    frozen = np.empty((6, 2))
    frozen.flags.writeable = False
    for out in (
        np.empty((5, 2)),
        np.empty((6, 2), dtype=np.float32),
        np.empty((2, 6)).T,
        frozen,
        [[0.0, 0.0]] * 6,
        "out",
    ):
        with pytest.raises(ProgramError, match=r"^aba: expected out as a writable.*numpy\.empty$"):
            program(*given, out=out)
    whole = np.zeros(40)
    q, out = whole[:12].reshape(6, 2), whole[6:18].reshape(6, 2)
    for pair in ((q, q), (q, out)):
        with pytest.raises(ProgramError, match="share memory"):
            program(pair[0], *given[1:], out=pair[1])
    beside = whole[12:24].reshape(6, 2)
    assert program(q, *given[1:], out=beside) is beside


def test_answers_that_are_held_are_never_written_over(program):
    kept, copies = [], []
    for seed in range(6):
        answer = program(*states(500, seed=seed))
        # whole, a view, a tensor on the same memory
        kept.append([answer, answer[::2, 1], torch.from_numpy(answer)][seed % 3])
        copies.append(np.asarray(kept[-1]).copy())
        del answer
    for held, copy in zip(kept, copies, strict=True):
        assert np.array_equal(np.asarray(held), copy)
    tensors = [program(*map(torch.from_numpy, states(500, seed=k))) for k in range(3)]
    expected = [program(*states(500, seed=k)) for k in range(3)]
    for tensor, array in zip(tensors, expected, strict=True):
        assert np.array_equal(tensor.numpy(), array)


def test_memory_of_dropped_answers_is_used_again(program):
    given = states(500)
    places = {program(*given).ctypes.data for _ in range(5)}
    assert len(places) == 1
    answer, places = program(*given), set()
    for _ in range(10):  # the last answer is held while the next one is computed
        answer = program(*given)
        places.add(answer.ctypes.data)
    assert len(places) == 2
    first, second = program(*given), program(*given)
    assert first.ctypes.data != second.ctypes.data
    assert program(*states(7)).shape == (7, 2)


def test_calls_at_the_same_time_have_memory_of_their_own(program):
    expected = [program(*states(2000, seed=k)).copy() for k in range(8)]

    def ask(k):
        return all(np.array_equal(program(*states(2000, seed=k)), expected[k]) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(8)))


def test_tensors_as_out(program):
    given = [torch.from_numpy(x) for x in states(9)]
    out = torch.empty(9, 2, dtype=torch.float64)
    assert program(*given, out=out) is out
    assert torch.equal(out, program(*given))
    single = torch.empty(9, 2)
    assert program(*given, out=single) is single
    assert torch.allclose(single.double(), out, atol=1e-5)
    with pytest.raises(ProgramError, match="expected out"):
        program(*given, out=torch.empty(8, 2))
    with pytest.raises(ProgramError, match="without gradients"):
        program(given[0].requires_grad_(), *given[1:], out=out)
    with torch.no_grad():
        assert program(*given, out=out) is out
    with pytest.raises(ProgramError, match="expected a tensor as out"):
        program(*given[1:], given[2], out=np.empty((9, 2)))
