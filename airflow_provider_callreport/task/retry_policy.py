"""Airflow 3.3's `RetryPolicy`, made from the error taxonomy: a task is tried again only where that can help.

The operators use it by default on Airflow 3.3 and later. On older versions they raise ``AirflowFailException`` for the
errors that no retry mends, which comes to the same; only the delay that a server asks for is not known there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

from airflow_provider_callreport.errors import CallReportError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

#: The longest delay that a server's Retry-After can ask of a task.
MAX_DELAY = timedelta(hours=1)

if TYPE_CHECKING or AIRFLOW_V_3_3_PLUS:
    from airflow.providers.common.compat.sdk import RetryDecision, RetryPolicy

    class CallReportRetryPolicy(RetryPolicy):
        """Fails at once what no retry mends, and waits as long as the API asked before it tries the rest again.

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
            delay = None if not seconds else min(timedelta(seconds=seconds), MAX_DELAY)
            return RetryDecision.retry(delay=delay, reason=str(exception))

        def serialize(self) -> dict[str, Any]:
            """Nothing to remember: the rules are in the exception classes."""
            return {"__type": type(self).__name__}

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> CallReportRetryPolicy:
            """The policy again."""
            return cls()


def default_retry_policy() -> Any:
    """A `CallReportRetryPolicy`, or None before Airflow 3.3."""
    return CallReportRetryPolicy() if AIRFLOW_V_3_3_PLUS else None
