"""The pace of a client: so many requests a second and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """Requests at least ``1 / rate`` seconds apart, over all threads of a client.

    Args:
        rate: requests per second, or None for no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take the next turn, when it is there.

        Threads wait one behind the other, and a turn is counted from the moment at which it is really taken: after a
        process was held up, its threads do not make up for the lost time all at once.

        Args:
            sleep: waits so many seconds; what it raises ends the waiting.
        """
        if not self._gap:
            return
        with self._lock:
            sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._gap
