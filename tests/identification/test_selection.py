"""When held-out errors are lower: beyond chance, as sums or as shares of what folds leave."""

import numpy as np

from discover.identification.moments import Moments
from discover.identification.selection import better, lasting

LOUD = np.array([0.085, 0.098, 0.52, 3.6])  # what logs of one machine may leave unexplained


def test_the_same_share_in_folds_of_different_size_is_sure():
    assert better(LOUD, LOUD * np.array([0.15, 0.14, 0.1, 0.2]))


def test_a_gain_in_one_fold_is_chance():
    assert not better(LOUD, LOUD - [0, 0, 0, 2.0])
    assert not better(LOUD, LOUD - [0.08, 0, 0, 0])


def test_a_loss_is_no_gain():
    assert not better(LOUD, LOUD * 1.1)


def test_a_gain_that_is_not_worth_a_term():
    assert not better(LOUD, LOUD * 0.999)


def test_what_blocks_of_time_ask_for_lasts_and_what_few_ask_for_leaves():
    """Three columns: one of the law, one that a force follows for the time of two blocks in forty,
    one of nothing."""
    generator = np.random.default_rng(0)
    block = np.repeat(np.arange(40), 50)
    X = generator.normal(size=(2000, 1, 4))
    y = X[:, 0, :2] @ [1.0, 0.3] + generator.normal(size=2000)
    y += 1.0 * X[:, 0, 2] * (block % 20 == 0)
    moments = Moments.of(X, y[:, None], np.ones(1), block, np.zeros((4, 4)))
    fold = np.arange(40) % 8
    assert lasting(moments, [0], [[1], [2], [3]], fold, [0, 1, 2]) == (0,)
    assert set(lasting(moments, [0], [[1], [2], [3]], fold, [0, 1, 2], kept=[1])) == {0, 1}


def test_blocks_are_the_folds_in_pieces():
    generator = np.random.default_rng(1)
    block, fold = np.repeat(np.arange(16), 20), np.arange(16) // 2
    X, y = generator.normal(size=(320, 1, 2)), generator.normal(size=(320, 1))
    moments = Moments.of(X, y, np.ones(1), block, np.zeros((2, 2)))
    left = moments.by_block([0, 1], fold)
    np.testing.assert_allclose(
        left.reshape(8, 2).mean(1), moments.held_out([0, 1], fold), rtol=1e-9
    )
