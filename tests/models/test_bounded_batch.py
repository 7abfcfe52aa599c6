"""Exported programs that take a range of batch sizes (torch.export.Dim with min and max)."""

from __future__ import annotations

import pytest
import torch

from discover import models


class Net(torch.nn.Module):
    def forward(self, q, v, tau):
        return torch.sin(q) - 0.1 * v + 2.0 * tau


@pytest.mark.parametrize("bounds", [{"min": 2, "max": 64}, {"min": 2}, {"max": 7}])
@pytest.mark.parametrize("rows", [1, 5, 300])
def test_any_number_of_questions_is_answered(tmp_path, bounds, rows):
    batch = torch.export.Dim("batch", **bounds)
    example = tuple(torch.randn(4, 2) for _ in range(3))
    program = torch.export.export(Net(), example, dynamic_shapes=({0: batch},) * 3)
    torch.export.save(program, tmp_path / "net.pt2")
    model = models.load(tmp_path / "net.pt2", nv=2)
    states = tuple(torch.randn(rows, 2, dtype=torch.float64) for _ in range(3))
    assert torch.allclose(model(*states).double(), Net()(*states), atol=1e-5)
