"""Rows, blocks and folds: what belongs together in time stays together."""

import numpy as np
import pytest

from discover.data.motions import Motion
from discover.errors import DatasetError
from discover.identification.samples import gather, rest_speed


def motion(seconds=10.0, rate=100.0, name="a"):
    time = np.arange(0, seconds, 1 / rate)
    v = np.stack([np.sin(time), np.where(time < seconds / 2, 0.0, 1.0)], axis=1)
    return Motion(name=name, time=time, q=0 * v, v=v, a=0 * v, tau=v)


@pytest.mark.parametrize("logs", [1, 3, 6])
def test_a_block_lies_in_one_log_and_a_fold_is_made_of_blocks(logs):
    samples = gather([motion(name=str(k)) for k in range(logs)])
    for block in range(samples.blocks):
        rows = samples.block == block
        assert len(set(samples.log[rows])) == 1
        assert len(set(samples.fold[rows])) == 1
        assert np.ptp(samples.time[rows]) < 1.1


def test_logs_are_folds_where_there_are_enough():
    samples = gather([motion(name=str(k)) for k in range(6)])
    assert (samples.fold == samples.log).all()


def test_a_long_recording_has_longer_blocks_and_no_more_rows():
    samples = gather([motion(seconds=2000.0)])
    assert samples.blocks <= 120
    assert len(samples) <= 7000


def test_a_joint_rests_below_its_noise_or_a_share_of_its_speed():
    one = motion()
    samples = gather([one], rest_speed([one]))
    assert not samples.moving[:500, 1].any()
    assert samples.moving[500:, 1].all()
    assert samples.moving[:, 0].mean() > 0.95


def test_too_little_time_is_refused_in_one_line():
    with pytest.raises(DatasetError, match="longer logs"):
        gather([motion(seconds=0.02)])
