"""Tasks that wait for calls."""
