"""Random forest, grown by scikit-learn and kept as plain arrays, so that no pickle is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError
from discover.models.contract import ModelConfig, Samples, WorldModel


@dataclass(frozen=True, kw_only=True)
class ForestConfig(ModelConfig):
    trees: int = 50
    smallest_leaf: int = 2
    seed: int = 0


class Forest(WorldModel):
    """Mean of the trees; a piecewise constant map."""

    kind: ClassVar[str] = "forest"
    config_schema: ClassVar[type[ModelConfig]] = ForestConfig
    trained_by: ClassVar[Literal["gradient", "fit"]] = "fit"
    grows: ClassVar[tuple[str, ...]] = ("roots", "left", "right", "feature", "threshold", "leaf")
    config: ForestConfig
    roots: Tensor
    left: Tensor
    right: Tensor
    feature: Tensor
    threshold: Tensor
    leaf: Tensor

    def assemble(self) -> None:
        for name in ("roots", "left", "right", "feature"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int64))
        self.register_buffer("threshold", torch.zeros(0))
        self.register_buffer("leaf", torch.zeros(0, len(self.target_mean)))

    @torch.no_grad()
    def fit(self, samples: Samples) -> None:
        from sklearn.ensemble import RandomForestRegressor

        x, y = (part.cpu().numpy() for part in self.learnable(samples))
        forest = RandomForestRegressor(
            n_estimators=self.config.trees,
            min_samples_leaf=self.config.smallest_leaf,
            random_state=self.config.seed,
        ).fit(x, y.ravel() if y.shape[1] == 1 else y)
        trees = [grown.tree_ for grown in forest.estimators_]
        starts = np.cumsum([0] + [tree.node_count for tree in trees])[:-1]

        def joined(name: str, shift: bool = False) -> np.ndarray:
            parts = [getattr(tree, name) for tree in trees]
            if shift:  # children count within their tree; a leaf (-1) stays where it is
                parts = [
                    np.where(part < 0, np.arange(len(part)), part) + start
                    for part, start in zip(parts, starts, strict=True)
                ]
            return np.concatenate(parts)

        like = self.target_scale
        self.roots = torch.as_tensor(starts, dtype=torch.int64)
        self.left = torch.as_tensor(joined("children_left", shift=True), dtype=torch.int64)
        self.right = torch.as_tensor(joined("children_right", shift=True), dtype=torch.int64)
        self.feature = torch.as_tensor(joined("feature"), dtype=torch.int64).clamp_min(0)
        self.threshold = torch.as_tensor(joined("threshold")).to(like)
        self.leaf = torch.as_tensor(joined("value")).squeeze(-1).reshape(-1, len(like)).to(like)

    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        if not len(self.roots):
            raise ModelError("a forest answers nothing before it is grown; train it first")
        x = self.inputs(q, v, tau)
        node = self.roots.expand(len(x), -1)
        while True:  # one level of all trees at a time
            goes_left = x.gather(1, self.feature[node]) <= self.threshold[node]
            below = torch.where(goes_left, self.left[node], self.right[node])
            if torch.equal(below, node):
                break
            node = below
        return self.to_units(self.leaf[node].mean(dim=1))
