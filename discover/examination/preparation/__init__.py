"""What precedes an examination's laws: arguments, and which friction the model has."""
