"""The search for laws that no library lists."""
