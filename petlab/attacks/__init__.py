"""What the other side could rebuild."""
