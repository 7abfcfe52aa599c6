"""Checkpoints: one safetensors file with a model card, whole or absent.

The card (JSON in the file's metadata) says what the model is and what it was trained on; the
tensors are its weights and normalisation. No code is stored and none is run on loading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from discover.artifacts import plain, write_bytes
from discover.errors import CheckpointError
from discover.models.contract import WorldModel
from discover.models.layout import Layout
from discover.models.registry import build

FORMAT = 1
CARD = "worldlaw"


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors and their card atomically."""
    copies = {
        # a copy each: safetensors refuses tensors that share memory
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in tensors.items()
    }
    text = json.dumps(plain({"format": FORMAT, **card}), sort_keys=True)
    write_bytes(path, to_bytes(copies, {CARD: text}))


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and card. Raises CheckpointError on a missing, truncated or foreign file."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"expected a checkpoint at {path}, found no such file")
    try:
        with safe_open(path, framework="pt", device="cpu") as stored:
            note = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"expected a whole safetensors checkpoint at {path}, found a truncated or foreign file "
            f"({str(error).splitlines()[0]}); train again or restore the file"
        ) from error
    if CARD not in note:
        raise CheckpointError(
            f"expected a checkpoint of worldlaw at {path}, found safetensors without its model "
            "card; give the module they belong to (module=Net()), or export to .pt2, TorchScript "
            "or ONNX"
        )
    try:
        card = json.loads(note[CARD])
    except ValueError as error:
        raise CheckpointError(f"the model card of {path} is damaged; train again") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise CheckpointError(
            f"expected checkpoint format {FORMAT} at {path}, found another one; train again"
        )
    return tensors, card


def save(model: WorldModel, path: Path | str, card: Mapping[str, Any] | None = None) -> None:
    """Store a model with its card: architecture, training, and the caller's entries."""
    trained = {**model.card, **(card or {})}
    version = metadata.version("worldlaw")
    description = {"model": model.describe(), "trained": trained, "worldlaw": version}
    write_tensors(path, model.state_dict(), description)


def restore(tensors: Mapping[str, Tensor], card: Mapping[str, Any], path: Path | str) -> WorldModel:
    """The model that `save` described. Raises CheckpointError where card and tensors disagree."""
    try:
        about = card["model"]
        layout = Layout.from_dict(about["layout"])
        dtype = tensors["target_scale"].dtype
        model = build(
            about["kind"],
            layout.nq,
            layout.nv,
            about["config"],
            kinds=layout.kinds,
            parents=layout.parents,
            outputs=about["outputs"],
            dt=about["dt"],
            dtype=dtype,
        )
        model.load_tensors(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"the weights in {path} do not fit their model card "
            f"({str(error).splitlines()[0]}); train again"
        ) from error
    model.card = dict(card.get("trained", {}))
    return model.eval()


def load_checkpoint(path: Path | str, dtype: torch.dtype | None = None) -> WorldModel:
    """A model saved by `save`; bit for bit the same, unless another dtype is asked for."""
    tensors, card = read_tensors(path)
    model = restore(tensors, card, path)
    return model if dtype is None else model.to(dtype)
