"""The README's lines for a world model run as they stand."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import torch

import discover

README = Path(__file__).parent.parent / "README.md"


def code_of(heading: str) -> str:
    """The first Python block below a heading."""
    text = README.read_text(encoding="utf-8")
    section = re.split(r"^## ", text.split(f"\n## {heading}\n")[1], flags=re.M)[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.S)[0]


def test_your_own_world_model(tmp_path, monkeypatch, capsys):
    gymnasium = pytest.importorskip("gymnasium")
    pytest.importorskip("mujoco")
    code = code_of("Your own world model")
    lines = [x for x in code.splitlines() if x.strip() and not x.startswith("#")]
    assert len(lines) <= 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium tells of what is out of date
        world = discover.from_gymnasium(gymnasium.make("InvertedDoublePendulum-v5"))
        step = world.simulator()

        def net(observation, action):
            """The best of networks: the simulator behind the observation, which goes on where the
            environment's velocities are clipped."""
            q, v = world.observation.state(observation)
            after = step(q, v, world.action.controls(action))
            return world.observation.observe(*after, clip=False)

        monkeypatch.chdir(tmp_path)
        names = {"net": net}
        exec(compile(code, str(README), "exec"), names)
    exam = names["exam"]
    assert exam.verdict == "physics"
    assert "physics" in capsys.readouterr().out
    assert (tmp_path / "reports" / "mine" / "report.md").is_file()
    q, v = 0.3 * torch.rand(20, 3).double(), torch.rand(20, 3).double()
    seen, action = world.observation.observe(q, v), torch.rand(20, 1).double()
    law = torch.as_tensor(names["law"](seen, action))
    assert float((law - net(seen, action)).abs().max()) < 1e-6


def test_the_verdicts_shown_are_those_of_the_report():
    from discover.judgement.verdict import in_words

    text = README.read_text(encoding="utf-8")
    shown = re.findall(
        r"^(\w+) +((?:physics|lookup table|alternative law|undetermined) \(.*\))$", text, re.M
    )
    assert [name for name, _ in shown] == ["simulator", "table", "mlp", "delan"]
    for name, words in shown:
        exam = discover.load(README.parent / "reports" / "double_pendulum" / name)
        assert words == in_words(exam.verdict, exam.confidence, exam.evidence)
