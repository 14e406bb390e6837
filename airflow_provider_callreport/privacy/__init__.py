"""Phone numbers in whatever spelling, and texts without them. Part of the vocabulary: every room may use it."""
