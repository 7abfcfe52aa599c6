"""The recursion that a model computes, searched over a grammar of passes."""
