"""Airflow 3.3's `RetryPolicy`, made from the error taxonomy: a task is tried again only where that can help.

The operators use it by default on Airflow 3.3 and later. On older versions they raise ``AirflowFailException`` for the
errors that no retry helps against, which comes to the same; only the delay that a server asks for is not known there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.errors import CallReportError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

#: The longest delay that a server's Retry-After can ask of a task.
MAX_DELAY = timedelta(hours=1)

#: Seconds: Airflow's own bound of a delay that doubles.
_LONGEST = 24 * 60 * 60.0


def _delay(asked: float | None, try_number: int, context: Context | None) -> timedelta | None:
    """How long the task waits; None for the delay of the Dag, which a server's wish never shortens.

    Args:
        asked: seconds that the server asked for, or None.
        try_number: the try that has failed, from 1.
        context: the task's context, or None.
    """
    task = None if context is None else context.get("task")
    if not asked or task is None:
        return None
    delay = timedelta(seconds=min(asked, MAX_DELAY.total_seconds()))
    multiplier = task.retry_exponential_backoff or 1.0
    if multiplier == 1.0:
        return delay if delay > task.retry_delay else None
    # Airflow draws its own delay from this to twice this (TaskInstance.next_retry_datetime).
    least = max(1.0, task.retry_delay.total_seconds() * min(multiplier ** min(try_number - 1, 64), _LONGEST))
    longest = task.max_retry_delay
    limit = longest.total_seconds() if isinstance(longest, timedelta) else longest
    most = min(2 * least, limit or _LONGEST, _LONGEST)
    return delay if delay.total_seconds() > most else None


try:
    from airflow.sdk import RetryDecision, RetryPolicy
except ImportError:
    HAS_RETRY_POLICY = False
else:
    HAS_RETRY_POLICY = True

    class CallReportRetryPolicy(RetryPolicy):
        """Fails at once where no retry helps, and waits as long as the API asked before it tries the rest again.

        An error that is not this package's is left to the task's ``retries`` and ``retry_delay``, and those bound what
        is tried again in any case.
        """

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
        ) -> RetryDecision:
            """Decide by ``retryable`` of the error, and by its ``retry_after``."""
            if not isinstance(exception, CallReportError):
                return RetryDecision.default()
            if not exception.retryable:
                return RetryDecision.fail(reason=str(exception))
            # On a later page the API's own error is the cause of "the report is not whole".
            seconds = getattr(exception, "retry_after", getattr(exception.__cause__, "retry_after", None))
            return RetryDecision.retry(delay=_delay(seconds, try_number, context), reason=str(exception))

        def serialize(self) -> dict[str, Any]:
            """Nothing to remember: the rules are in the exception classes."""
            return {"__type": type(self).__name__}

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> CallReportRetryPolicy:
            """The policy again."""
            return cls()


def default_retry_policy() -> Any:
    """A `CallReportRetryPolicy`, or None before Airflow 3.3."""
    return CallReportRetryPolicy() if HAS_RETRY_POLICY else None
