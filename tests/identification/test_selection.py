"""When held-out errors are lower: beyond chance, as sums or as shares of what folds leave."""

import numpy as np

from discover.identification.selection import better

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
