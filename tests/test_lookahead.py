"""`Lookahead` starts requests before their answers are wanted (side-by-side)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from contextvars import ContextVar

import pytest

from airflow_provider_callreport.api.errors import (
    CallReportError,
    RateLimitedError,
    ServiceError,
    TimeoutExceededError,
)
from airflow_provider_callreport.api.lookahead import Lookahead


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("callreport-lookahead")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert wait_for(lambda: not threads())


class Server:
    """Answers a page number with itself once it may, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answered: list[int] = []
        self.may_answer = threading.Event()

    def request(self, page: int) -> Callable[[], int]:
        def ask() -> int:
            self.asked.append(page)
            assert self.may_answer.wait(20)
            self.answered.append(page)
            return page

        return ask


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.may_answer.set()


def test_one_request_is_under_way_while_the_caller_works(server: Server) -> None:
    """With a width of 1 the next page is asked for, and the one after it is not."""
    with closing(Lookahead[int](1)) as lookahead:
        assert lookahead.ask(1, server.request(1))
        assert not lookahead.ask(2, server.request(2)), "there is no room"
        assert wait_for(lambda: server.asked == [1])
        server.may_answer.set()
        assert lookahead.answer(1, server.request(1)) == 1
        assert lookahead.ask(2, server.request(2))
        assert lookahead.answer(2, server.request(2)) == 2
    assert server.asked == [1, 2], "each is asked for once"


def test_several_requests_are_under_way_together(server: Server) -> None:
    """All are asked for before the first has come; the answers come in the order in which they are wanted."""
    with closing(Lookahead[int](4)) as lookahead:
        assert [lookahead.ask(page, server.request(page)) for page in range(5)] == [True] * 4 + [False]
        assert wait_for(lambda: sorted(server.asked) == [0, 1, 2, 3])
        server.may_answer.set()
        assert [lookahead.answer(page, server.request(page)) for page in (3, 0, 1, 2)] == [3, 0, 1, 2]


def test_what_was_not_asked_for_is_asked_for_in_the_callers_thread(server: Server) -> None:
    """An answer can be had without `ask`, also when there is no room."""
    server.may_answer.set()
    with closing(Lookahead[object](1)) as lookahead:
        lookahead.ask(1, server.request(1))
        assert lookahead.answer("other", threading.current_thread) is threading.current_thread()
        assert lookahead.answer(1, server.request(1)) == 1


def test_an_answer_that_was_not_taken_needs_room(server: Server) -> None:
    """So memory is bounded: no more answers than the width wait to be taken."""
    server.may_answer.set()
    with closing(Lookahead[int](2)) as lookahead:
        assert lookahead.ask(1, server.request(1))
        assert lookahead.ask(2, server.request(2))
        assert wait_for(lambda: sorted(server.answered) == [1, 2])
        assert not lookahead.ask(3, server.request(3))


def test_the_threads_stay_until_the_end(server: Server) -> None:
    """Memory that a thread took is reused by the same thread."""
    server.may_answer.set()
    with closing(Lookahead[int](2)) as lookahead:
        seen = set()
        for page in range(0, 20, 2):
            lookahead.ask(page, server.request(page))
            lookahead.ask(page + 1, server.request(page + 1))
            seen.update(threads())
            assert [lookahead.answer(at, server.request(at)) for at in (page, page + 1)] == [page, page + 1]
        assert len(seen) == 2


def test_a_child_process_asks_again(server: Server) -> None:
    """The threads of the parent do not exist there."""
    with closing(Lookahead[int](1)) as lookahead:
        assert lookahead.ask(1, server.request(1))
        assert wait_for(lambda: server.asked == [1])
        if not (child := os.fork()):
            # Whatever happens, the child must not go on with pytest.
            status = 1
            with suppress(BaseException):
                signal.alarm(20)
                server.may_answer.set()
                answers = [lookahead.answer(1, server.request(1))]
                assert lookahead.ask(2, server.request(2))
                answers.append(lookahead.answer(2, server.request(2)))
                status = 0 if answers == [1, 2] else 2
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        server.may_answer.set()


def test_an_error_waits_until_its_answer_is_wanted() -> None:
    """whole-or-red: a page in hand is whole when the next one fails."""

    def fail() -> int:
        raise ServiceError(code=None, vendor_message="", http_status=503, endpoint="list")

    with closing(Lookahead[int](2)) as lookahead:
        assert lookahead.ask(1, fail)
        assert lookahead.answer(0, lambda: 0) == 0
        with pytest.raises(ServiceError):
            lookahead.answer(1, fail)
        assert lookahead.answer(1, lambda: 7) == 7, "asked for once more"


def test_a_request_sees_the_callers_context() -> None:
    """Deadlines, and what hides secrets from the log, are context variables."""
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("mine")
    with closing(Lookahead[str](1)) as lookahead:
        lookahead.ask(1, variable.get)
        assert lookahead.answer(1, str) == "mine"


def test_closing_waits_for_nothing(server: Server) -> None:
    """What is under way is given up; its thread does not hold up the end of the process."""
    lookahead = Lookahead[int](2)
    lookahead.ask(1, server.request(1))
    assert wait_for(lambda: server.asked == [1])
    lookahead.close()
    assert [thread.daemon for thread in threads()] == [True]
    server.may_answer.set()
    assert lookahead.answer(1, lambda: 7) == 7, "the answer that was given up is not taken for another's"


@pytest.mark.parametrize(
    ("error", "width"),
    [
        (RateLimitedError(code=None, vendor_message="", http_status=429, endpoint="list"), 2),
        (TimeoutExceededError("list: no whole answer"), 2),
        (ServiceError(code=None, vendor_message="", http_status=503, endpoint="list"), 4),
    ],
)
def test_trouble_halves_the_width_and_calm_widens_it(error: CallReportError, width: int) -> None:
    """HTTP 429 and a timeout make room at the server; twenty calm answers take one place back."""

    def room() -> int:
        with_room = [number for number in range(10) if lookahead.ask(("room", number), lambda: 0)]
        lookahead.close()
        return len(with_room)

    lookahead = Lookahead[int](4)
    assert room() == 4
    lookahead.trouble(error)
    assert room() == width
    for number in range(20):
        lookahead.answer(number, lambda: 0)
    assert room() == min(4, width + 1)
    for number in range(100):
        lookahead.answer(number, lambda: 0)
    assert room() == 4, "and no more than at first"
    for _ in range(5):
        lookahead.trouble(RateLimitedError(code=None, vendor_message="", http_status=429, endpoint="list"))
    assert room() == 1, "never none"
