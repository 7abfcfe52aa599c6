"""Contact: scenes of simple shapes on a robot's bodies, their gaps, and the laws of touching."""
