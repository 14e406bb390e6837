"""Are the calls those that were asked for?

A server that heeds the date only, or none of the window's filter, or a cache that answers in its place, sends calls of
other times with a total that fits them: numbers alone do not show it. So the calls' own times are held against the
window.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_provider_callreport.api.errors import AnswerError
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.profile import moved
from airflow_provider_callreport.report import Value

#: What to do where an account is really like that.
_ADVICE = (
    "if the account's calls are really filed so, set the connection's extra field window_slack (seconds, or off), "
    "and check its timezone"
)


class WindowCheck:
    """Holds calls against one window.

    Args:
        window: what was asked for.
        slack: how far off the window a call may be, in seconds; None for any distance. A call may be filed under its
            end, or a clock be wrong.

    Attributes:
        checked: calls whose time could be read.
        off: calls off the window by less than the slack.
        unread: calls that have a time, and it could not be read.
        fractions: whether a time had a part of a second.
    """

    def __init__(self, window: Window, slack: float | None) -> None:
        span = window.wall_times()
        start, end = (moment.replace(tzinfo=None) for moment in (window.local_start, window.local_end))
        self._first, self._end = span or (start, end)
        self._slack = None if slack is None else timedelta(seconds=slack)
        self.off = 0
        self.checked = 0
        self.unread = 0
        self.fractions = False

    def add(self, times: Sequence[Value]) -> None:
        """Look at the times of some calls.

        Args:
            times: when each call began, typed; None where it says nothing.

        Raises:
            AnswerError: a call is further off than the slack.
        """
        known = [time for time in times if isinstance(time, datetime)]
        self.unread += sum(isinstance(time, str) for time in times)
        self.checked += len(known)
        if not known:
            return
        low, high = min(known), max(known)
        self.fractions = self.fractions or any(time.microsecond for time in known)
        if low >= self._first and high < self._end:
            return
        self.off += sum(not self._first <= time < self._end for time in known)
        if self._slack is None:
            return
        if low < moved(self._first, -self._slack) or high >= moved(self._end, self._slack):
            raise AnswerError(
                f"the API answered calls from {low} to {high}, and was asked for those from {self._first} to "
                f"{self._end}: it did not obey the window, or something else has answered; {_ADVICE}"
            )

    def finish(self) -> None:
        """Look at all calls together.

        Raises:
            AnswerError: most of them are off the window, each by less than the slack.
        """
        if self._slack is not None and 2 * self.off > self.checked:
            raise AnswerError(
                f"{self.off} of {self.checked} calls are off the window from {self._first} to {self._end}: the API "
                f"did not obey the window, or something else has answered; {_ADVICE}"
            )
