"""Excel: sheets of calls and a summary, written in one pass. Begin with `writer`."""
