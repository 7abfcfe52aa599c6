"""Which checkpoints there are, and at which training step each was written."""

from __future__ import annotations

import pytest

from discover.errors import ModelError
from discover.tracking.checkpoints import checkpoints_of, steps_in_names


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["net_0.onnx", "net_500.onnx", "net_12000.onnx"], [0, 500, 12000]),
        (["runs/a/model-000100.pt2", "runs/a/model-000200.pt2"], [100, 200]),
        # a constant number is no step
        (["v2_ckpt10.onnx", "v2_ckpt20.onnx"], [10, 20]),
        # several differ: the finest count of training
        (
            ["epoch=1-step=340-val=0.31.pt", "epoch=2-step=680-val=0.12.pt"],
            [340, 680],
        ),
        (["epoch=1-loss=0.5.pt", "epoch=2-loss=0.4.pt"], [1, 2]),
        (["it/iteration_9/net.onnx", "it/iteration_10/net.onnx"], [9, 10]),
        (["net_10k.onnx", "net_500k.onnx", "net_2M.onnx"], [10e3, 500e3, 2e6]),
        (["rl_model_10000_steps.onnx", "rl_model_20000_steps.onnx"], [10000, 20000]),
        (["t0.5.onnx", "t1.5.onnx"], [0.5, 1.5]),
        (["only_7.onnx"], [7]),
        (["nets.py:at_10", "nets.py:at_20"], [10, 20]),
        (["net_1.pt2", "net_3.pt2"], [1, 3]),
    ],
)
def test_steps_stand_in_names(names, steps):
    assert steps_in_names(names) == steps


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.onnx", "b.onnx"], "differ in a number"),
        (["net_1.onnx", "net_2.onnx", "net_final.onnx"], "net_final.onnx"),
        (["x1_y1.onnx", "x2_y2.onnx"], "several"),
        (["net.onnx"], "none"),
    ],
)
def test_names_without_a_step_say_so(names, found):
    with pytest.raises(ModelError, match=found) as told:
        steps_in_names(names)
    assert "steps=" in str(told.value)


def test_every_way_to_name_them_gives_the_same(tmp_path):
    paths = [tmp_path / f"net_{k}.onnx" for k in (100, 20, 3)]
    for path in paths:
        path.write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    wanted = [(3.0, "net_3"), (20.0, "net_20"), (100.0, "net_100")]
    for given in (
        tmp_path,
        str(tmp_path / "net_*.onnx"),
        paths,
        {100: paths[0], 20: paths[1], 3: paths[2]},
        [(100, paths[0]), (20, paths[1]), (3, paths[2])],
    ):
        assert [(c.step, c.name) for c in checkpoints_of(given)] == wanted
    assert [c.step for c in checkpoints_of(paths, steps=[1, 2, 3])] == [1, 2, 3]


def model(q, v, tau):
    return tau


@pytest.mark.parametrize(
    ("given", "steps", "said"),
    [
        ([], None, "at least one"),
        ({}, None, "at least one"),
        ([model, model], None, "training step of each model"),
        ([model, model], [1], "one step a checkpoint"),
        ([model, model], [1, 1], "one checkpoint a step"),
        ({"a": model}, None, "as a number"),
        ({True: model}, None, "as a number"),
        ({float("nan"): model}, None, "as a number"),
        ({1: model}, [1], "both"),
        (model, None, "paths, a folder or a pattern"),
        (3, None, "paths, a folder or a pattern"),
        ("nowhere/*.onnx", None, "found none"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(given, steps, said):
    with pytest.raises(ModelError, match=said) as told:
        checkpoints_of(given, steps)
    assert "\n" not in str(told.value)


def test_a_folder_without_models(tmp_path):
    with pytest.raises(ModelError, match="found none"):
        checkpoints_of(tmp_path)
