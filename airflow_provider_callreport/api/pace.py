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
        """Take the next turn and return how many seconds it is away, for an event loop that waits in its own way."""
        if not self._gap:
            return 0.0
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        return turn - now

    def wait(self) -> None:
        """Take the next turn, when it is there.

        Threads wait one behind the other, and a turn is counted from the moment at which it is really taken: after a
        process was held up, its threads do not make up for the lost time all at once.
        """
        if not self._gap:
            return
        with self._lock:
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._gap
