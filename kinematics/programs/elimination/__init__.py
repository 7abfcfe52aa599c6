"""Forward dynamics with few operations: elimination orders over the tree, and their search."""
