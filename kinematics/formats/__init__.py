"""Robot descriptions: URDF and MJCF, safely read."""
