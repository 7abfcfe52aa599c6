"""From a recipe to a report, in stages that resume."""
