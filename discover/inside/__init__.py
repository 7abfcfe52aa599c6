"""Inside the network: which variables of the equation of motion it holds, uses, and in what order."""
