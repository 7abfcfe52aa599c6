"""The algorithms of rigid-body dynamics, over tensors, numpy arrays or expression nodes."""
