"""The benchmark's own parts; its figures come from `discover bench dynamics`."""

from itertools import groupby

from discover.bench import dynamics, programs


def test_contenders_take_turns():
    order = []
    calls = {name: (lambda n=name: order.append(n)) for name in "ab"}
    assert set(programs.interleaved(calls, 3)) == {"a", "b"}
    trigonometry = "".join(name for name, _ in groupby(order))
    assert trigonometry == "ab" * 4  # once to see how long they take, then the three rounds


def test_scaling_is_drawn(tmp_path):
    growth = dynamics.scaling(sizes=(2, 4), batch=8)
    assert {name: [n for n, _ in own] for name, own in growth.items()} == {
        "torch eager": [2, 4],
        "compiled": [2, 4],
    }
    assert all(ns > 0 for own in growth.values() for _, ns in own)
    dynamics.plot(growth, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 5000
