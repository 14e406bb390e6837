"""Keeps the servers' libraries from logging what they serve."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Let a library's logger report nothing below a warning.

    At DEBUG these libraries log every request, message and its text. A test that looks for phone numbers in the logs
    of its own code would find those of the rehearsal server beside it.
    """
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
