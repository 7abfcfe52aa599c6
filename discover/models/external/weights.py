"""Weights of somebody's PyTorch module: a state_dict in safetensors, or saved by torch.save.

The module comes from the user's own code; its file holds numbers only, and no code in it is run.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from discover.errors import CheckpointError

_SHOWN = 3


def with_weights(module: Any, path: Path | str) -> nn.Module:
    """`module`, with the weights of the file, in evaluation mode. Raises CheckpointError.

    A wrapper's prefix that all names share ("module.", "_orig_mod.", "model.") is left out.
    """
    path = Path(path)
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise CheckpointError(
            f"module: expected a module, found the class {module.__name__}; write "
            f"module={module.__name__}(…)"
        )
    if not isinstance(module, nn.Module):
        raise CheckpointError(f"module: expected a torch.nn.Module, found {type(module).__name__}")
    stored = _stored(path)
    own = module.state_dict()
    stored = _without_prefix(stored, set(own))
    missing, foreign = sorted(own.keys() - stored.keys()), sorted(stored.keys() - own.keys())
    if missing or foreign:
        raise CheckpointError(
            f"{path}: the weights are not those of {type(module).__name__}: it lacks "
            f"{_some(missing)} and has {_some(foreign)} more; build the module as it was trained"
        )
    for name, x in own.items():
        if x.shape != stored[name].shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(stored[name].shape)}, the module's has "
                f"{tuple(x.shape)}; build the module as it was trained"
            )
    dtypes = {x.dtype for x in stored.values() if x.is_floating_point()}
    if len(dtypes) == 1:
        module = module.to(dtypes.pop())
    module.load_state_dict(stored, strict=True)
    return module.eval()


def _stored(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"expected weights at {path}, found no such file")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt", device="cpu") as stored:
                return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"expected a whole safetensors file at {path}, found a truncated or foreign one "
                f"({str(error).splitlines()[0]})"
            ) from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path} holds more than weights, and could run code on loading: refused; store "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')"
        ) from error
    inner = content
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        inner = content["state_dict"]
    if not isinstance(inner, Mapping) or not all(isinstance(x, Tensor) for x in inner.values()):
        raise CheckpointError(
            f"expected a state_dict at {path}, found {type(content).__name__}; store "
            "module.state_dict()"
        )
    return dict(inner)


def _without_prefix(stored: dict[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    for _ in range(_SHOWN):
        heads = {name.partition(".")[0] for name in stored}
        if set(stored) <= wanted or len(heads) != 1 or not all("." in name for name in stored):
            break
        stored = {name.partition(".")[2]: x for name, x in stored.items()}
    return stored


def _some(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
