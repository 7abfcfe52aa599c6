"""Moments by block: every shortcut gives what plain least squares gives."""

import numpy as np
import pytest

from discover.identification.moments import Moments

RIDGE = 1e-6  # relative: what the ridge of 1e-9 may move


@pytest.fixture
def problem():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(240, 2, 7)) * np.array([1, 10, 0.1, 1, 1, 3, 1])
    y = X[..., :4] @ np.array([1.0, -2.0, 3.0, 0.5]) + 0.3 * generator.normal(size=(240, 2))
    block = np.arange(240) // 20
    weight = np.array([1.0, 3.0])
    return X, y, weight, block, Moments.of(X, y, weight, block, np.zeros((7, 7)))


def plain(X, y, weight, rows, columns):
    A = (X[rows][:, :, columns] * weight[:, None]).reshape(-1, len(columns))
    return np.linalg.lstsq(A, (y[rows] * weight).ravel(), rcond=None)[0]


def test_a_solve_is_weighted_least_squares(problem):
    X, y, weight, _, moments = problem
    columns = [0, 2, 5]
    assert moments.solve(columns) == pytest.approx(
        plain(X, y, weight, slice(None), columns), rel=RIDGE
    )


def test_drawn_blocks_count_as_often_as_drawn(problem):
    X, y, weight, block, moments = problem
    times = np.random.default_rng(1).integers(0, 3, 12).astype(float)
    rows = np.concatenate(
        [np.tile(np.flatnonzero(block == b), int(n)) for b, n in enumerate(times)]
    )
    assert moments.solve([0, 1, 2], times) == pytest.approx(
        plain(X, y, weight, rows, [0, 1, 2]), rel=RIDGE
    )


def test_held_out_errors_are_those_of_fits_without_the_fold(problem):
    X, y, weight, block, moments = problem
    fold = np.arange(12) % 4
    columns = [0, 1, 3]
    for k, found in enumerate(moments.held_out(columns, fold)):
        out = fold[block] == k
        theta = plain(X, y, weight, ~out, columns)
        rest = (y[out] - X[out][:, :, columns] @ theta) * weight
        assert found == pytest.approx(np.mean(rest**2), rel=RIDGE)


def test_bordering_gives_what_fitting_anew_gives(problem):
    *_, moments = problem
    fold = np.arange(12) % 4
    groups = [[2], [3], [5, 6], [6]]
    quick = moments.additions([0, 1], groups, fold)
    for g, group in enumerate(groups):
        assert quick[:, g] == pytest.approx(moments.held_out([0, 1, *group], fold), rel=RIDGE)


def test_a_column_that_says_what_others_say_changes_nothing(problem):
    X, y, weight, block, _ = problem
    twice = np.concatenate([X, 2 * X[..., :1]], axis=2)
    moments = Moments.of(twice, y, weight, block, np.zeros((8, 8)))
    fold = np.arange(12) % 4
    assert moments.additions([0, 1], [[7]], fold)[:, 0] == pytest.approx(
        moments.held_out([0, 1], fold), rel=1e-5
    )


def test_a_column_that_never_acts_is_zero(problem):
    X, y, weight, block, _ = problem
    X = X.copy()
    X[..., 1] = 0
    moments = Moments.of(X, y, weight, block, np.zeros((7, 7)))
    assert moments.solve([0, 1])[1] == 0


def test_moments_across_twins_do_not_shrink():
    """Noise in a regressor shrinks its coefficient; across two measurements it does not."""
    generator = np.random.default_rng(2)
    x = generator.normal(size=(20_000, 1, 1))
    y = 2.0 * x[..., 0] + 0.1 * generator.normal(size=(20_000, 1))
    one, two = (x + generator.normal(size=x.shape) for _ in range(2))
    block = np.arange(20_000) // 1000
    none = np.zeros((1, 1))
    shrunk = Moments.of((one + two) / 2, y, np.ones(1), block, none).solve([0])[0]
    across = Moments.of((one + two) / 2, y, np.ones(1), block, none, (one, two)).solve([0])[0]
    assert shrunk == pytest.approx(2.0 / 1.5, rel=0.03)
    assert across == pytest.approx(2.0, rel=0.03)
