"""What a network learns while it is trained: one examination a checkpoint."""
