"""How a task stops: Airflow 3 answers SIGTERM with `on_kill`, does nothing else, and kills the process 5 s later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class TaskStopped(KeyboardInterrupt):
    """The task was told to stop.

    It is not an `Exception`, so that nothing handles it as an error. Airflow tries the task again if the task has
    retries left and nobody has set its state meanwhile; 2.11 does so for this class of interrupt only.
    """


class StopsWhenKilled:
    """Ends an operator's work with `TaskStopped`, so that it clears up and delivers nothing more."""

    _stoppable = False

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Inside the block `on_kill` raises."""
        self._stoppable = True
        try:
            yield
        finally:
            self._stoppable = False

    def on_kill(self) -> None:
        """Called in the signal handler, and after a timeout, when the work has been stopped already.

        Raises:
            TaskStopped: there is work to stop.
        """
        if self._stoppable:
            self._stoppable = False
            raise TaskStopped("the task was told to stop (SIGTERM)")
