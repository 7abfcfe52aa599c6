"""Inside the network: what of the equation of motion it holds, uses, and in what order."""
