"""What the recursions share: checked inputs, level order, placements, steps along the tree."""
