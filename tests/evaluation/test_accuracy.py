"""Error curves: known errors come out, bands hold the truth, axes are kept apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from discover.blackbox.contract import relative_error
from discover.blackbox.region import Region
from discover.errors import ModelError
from discover.evaluation import accuracy

REGION = Region(q=1.0, v=2.0, tau=5.0)


def truth(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    return tau - torch.sin(q) * 9.81 - 0.1 * v


def test_a_constant_relative_error_comes_out_everywhere() -> None:
    curves = accuracy.error_curves(lambda q, v, tau: 1.03 * truth(q, v, tau), truth, 2, REGION)
    assert [curve.axis for curve in curves] == ["joint", "q", "v", "tau"]
    for curve in curves:
        assert curve.distance == list(accuracy.EDGES)
        assert curve.error == pytest.approx([0.03] * len(curve.distance), rel=1e-9)


def test_an_error_in_q_alone_shows_along_q_alone() -> None:
    def wrong_far_in_q(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return truth(q, v, tau) + 10 * torch.relu(q.abs() - 1)

    curves = {
        c.axis: c for c in accuracy.error_curves(wrong_far_in_q, truth, 2, REGION, samples=128)
    }
    assert curves["q"].error[0] == 0
    assert curves["q"].error[-1] > 0.5
    assert curves["joint"].error[-1] > 0.1
    assert max(curves["v"].error) == max(curves["tau"].error) == 0


def test_the_error_is_the_one_used_everywhere() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(300, 3)) * [1.0, 10.0, 0.1]
    said = true + rng.normal(size=(300, 3)) * [0.1, 0.2, 0.03]
    error, low, high = accuracy.banded_error(said, true)
    assert error == pytest.approx(
        relative_error(torch.from_numpy(said), torch.from_numpy(true)), rel=1e-12
    )
    assert low < error < high


def test_the_band_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(200):
        true = rng.normal(size=(200, 2))
        said = true + 0.1 * rng.normal(size=(200, 2))
        _, low, high = accuracy.banded_error(said, true, seed=trial)
        held += low <= 0.1 <= high
    assert 175 <= held <= 200  # 95 % of 200 is 190; three standard deviations are 9


def test_an_answer_that_is_not_finite_is_an_infinite_error() -> None:
    def overflows(q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        return torch.where(q.abs() > 2, torch.nan, truth(q, v, tau))

    curve = accuracy.error_curves(overflows, truth, 2, REGION, axes=("q",), samples=64)[0]
    assert curve.error[0] == 0
    assert math.isinf(curve.error[-1])


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ModelError, match=r"shape \(512, 2\), found \(512, 1\)"):
        accuracy.error_curves(lambda q, v, tau: truth(q, v, tau)[:, :1], truth, 2, REGION)


def test_same_seed_same_curves() -> None:
    first, second = (
        accuracy.error_curves(lambda q, v, tau: tau, truth, 2, REGION, samples=64, seed=5)
        for _ in range(2)
    )
    assert first == second
