"""Statistics and learning over a session; knows no task and no technique."""
