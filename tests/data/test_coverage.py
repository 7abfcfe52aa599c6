"""The recipe of coverage: where the samples lie can be varied, their number stays."""

import pytest
import torch

from discover.blackbox.sampling import Batch, distance
from discover.study import recipes, stages


@pytest.mark.parametrize("design", ["hole", "box", "sobol", "full_circle", "trajectories"])
def test_every_design_covers_what_it_says(design):
    small = [f"data.design={design}", "data.samples=1500", "data.noise=0.01"]
    recipe = recipes.load(recipes.bundled_recipes()["coverage"], small)
    robot = stages.load_robot(recipe)
    data = stages.sample_dataset(recipe, robot)
    assert len(data) == 1500
    away = distance(recipe.region.build(), robot, Batch(data.q, data.v, data.tau))
    within = float((away.q < 0.5).double().mean())
    low, high = {
        "hole": (0.0, 0.0),
        "box": (0.2, 0.3),
        "sobol": (0.23, 0.27),
        "full_circle": (0.01, 0.05),  # (0.5 / pi)^2
        "trajectories": (0.05, 0.9),
    }[design]
    assert low <= within <= high
    assert bool((away.v <= 1 + 1e-12).all())
    assert bool((away.q > 1).any()) == (design == "full_circle")
    model = stages.train_model(recipe, "table", robot, data)
    assert bool(torch.isfinite(model(data.q[:5], data.v[:5], data.tau[:5])).all())
