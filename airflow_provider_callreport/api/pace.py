"""The pace of a client: so many requests a second and no more."""

from __future__ import annotations

import threading
import time


class Pace:
    """Requests at least ``1 / rate`` seconds apart, over all threads and tasks of a client.

    Args:
        rate: requests per second, or None for no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._next = 0.0
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next turn and return how many seconds it is away; the caller waits so long, in its own way."""
        if not self._gap:
            return 0.0
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        return turn - now

    def take(self) -> bool:
        """Take the next turn if it is there already."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return False
            self._next = now + self._gap
        return True

    def wait(self) -> None:
        """Take the next turn and sleep until it is there."""
        seconds = self.reserve()
        if seconds > 0:
            time.sleep(seconds)
