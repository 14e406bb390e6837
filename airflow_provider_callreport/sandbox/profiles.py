"""The vocabulary of synthetic calls: everything of a call but who called, when, and its ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from airflow_provider_callreport.sandbox.call import Call

T = TypeVar("T")

#: Each call has one of this many profiles; a power of two, because a call's profile is the low bits of its hash.
PROFILES = 1024

#: Each call has one of this many customers, so customers call again, as they do.
CUSTOMERS = 16384

#: Relative number of calls that begin in each hour of the day.
HOURLY_WEIGHTS = (2, 1, 1, 1, 1, 2, 6, 20, 45, 70, 85, 90, 80, 75, 85, 88, 82, 70, 55, 40, 25, 14, 8, 4)

_MASK_64 = (1 << 64) - 1

# Each vocabulary lists a word as often as it should turn up.
_DID_NUMBERS = ("918045678901", "918045678902", "912261234567", "911140012345")
_CAMPAIGNS = ("Sales",) * 5 + ("Support",) * 4 + ("Renewals & Upgrades", "Collections", "दिवाली ऑफर", "")
_AGENTS = (
    "Asha Rao",
    "Vikram Singh",
    "Priya Nair",
    "अनिल शर्मा",
    "सुनीता वर्मा",
    "Mohammed Irfan",
    "Deepa Iyer, Rahul Mehta",
    "Joseph D'Souza",
    "",
)
_MASTER_AGENTS = ("",) * 5 + ("Kavita Menon", "राजेश गुप्ता")
_ANSWERED = "Answered"
_STATUSES = (_ANSWERED,) * 13 + ("Missed",) * 4 + ("Busy", "Failed", "Voicemail")
_DETAILS = ("",) * 6 + ("Interested", "Call back tomorrow, 11:30", 'Said "no, thanks"', "पता बदला", "{{%%campaign%%}}")
_FORWARDS = ("false",) * 7 + ("918045678999",)
_DTMFS = ("",) * 5 + ("1", "2", "12", "*9#")

#: Stands for "some recording": the token itself differs from call to call.
_SOME_RECORDING = "token"

#: Replaced call by call; a profile has no time of its own.
_ANY_TIME = datetime(2000, 1, 1)


def scatter(value: int) -> int:
    """Mix an integer into 64 well-scattered bits; the same on every machine and Python (splitmix64's finaliser)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK_64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return value ^ (value >> 31)


@lru_cache(maxsize=8)
def call_profiles(seed: int, masked: bool) -> tuple[Call, ...]:
    """The `PROFILES` profiles of a seed, as calls without customer, time and ids.

    Args:
        seed: of the source.
        masked: whether these are calls over masked numbers; their ``details`` then name the pool they came through.
    """
    return tuple(_profile(scatter(seed * PROFILES + index), masked) for index in range(PROFILES))


@lru_cache(maxsize=8)
def customers(seed: int, masked: bool) -> tuple[tuple[str, str], ...]:
    """The `CUSTOMERS` customers of a seed: mobile number ``91XXXXXXXXXX`` and mask id (``""`` when not masked)."""
    return tuple(
        (
            f"91{6 + bits % 4}{bits // 4 % 10**9:09d}",
            f"mask_{10_000 + index}" if masked else "",
        )
        for index in range(CUSTOMERS)
        for bits in (scatter((seed << 20) + index),)
    )


def _profile(bits: int, masked: bool) -> Call:
    def pick(words: Sequence[T]) -> T:
        nonlocal bits
        bits = scatter(bits)
        return words[bits % len(words)]

    status = pick(_STATUSES)
    answered = status == _ANSWERED
    ringing = pick(range(3, 35))
    # The square makes short calls common and long ones rare: 1 s to about an hour and a half.
    talk = 1 + pick(range(74)) ** 2 if answered else 0
    return Call(
        time=_ANY_TIME,
        did=pick(_DID_NUMBERS),
        campaign=pick(_CAMPAIGNS),
        agents=pick(_AGENTS) if answered else "",
        master_agent=pick(_MASTER_AGENTS),
        call_duration=ringing + talk,
        customer_duration=ringing // 2 + talk if answered else 0,
        talk_duration=talk,
        agent_duration=talk + 2 if answered else 0,
        amount=-(-talk // 15) * 0.25,
        recording=_SOME_RECORDING if answered and pick(range(10)) else "",
        status=status,
        details=f"masked, pool {1 + pick(range(4))}" if masked else pick(_DETAILS),
        forward=pick(_FORWARDS),
        dtmf=pick(_DTMFS),
    )
