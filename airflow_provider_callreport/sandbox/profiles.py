"""The vocabulary of synthetic calls: everything of a call but who called, when, and its ids.

The calls look like those of a call centre of some two dozen agents: each campaign has its own number, team and lead,
half of the talks are shorter than two and a half minutes, and nights and lunch hours miss more calls than mornings do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from airflow_provider_callreport.sandbox.call import Call

T = TypeVar("T")

#: Each answered call has one of this many profiles; a power of two, because the low bits of a call's hash tell it.
ANSWERED_PROFILES = 1024

#: Each other call has one of this many; they stand behind the answered ones.
MISSED_PROFILES = 256

#: Each call has one of this many customers, so customers call again, as they do.
CUSTOMERS = 16384

#: Relative number of calls that begin in each hour of the day.
HOURLY_WEIGHTS = (2, 1, 1, 1, 1, 2, 6, 20, 45, 70, 85, 90, 80, 75, 85, 88, 82, 70, 55, 40, 25, 14, 8, 4)

#: Per cent of the calls of each hour that nobody answers: few agents sit there at night, and some are at lunch at one.
_MISSED_PERCENT = (58, 60, 62, 62, 60, 55, 48, 36, 24, 15, 12, 14, 19, 24, 16, 12, 12, 14, 19, 26, 33, 42, 50, 55)

_MASK_64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class _Team:
    """Who answers the calls of a campaign.

    Attributes:
        campaign: its name, ``""`` for the company's own number.
        did: the number that customers call.
        key: what they press in the menu to get there.
        lead: the master agent.
        agents: who answers.
        talk_percent: how long its talks are, compared with those of the whole company.
    """

    campaign: str
    did: str
    key: str
    lead: str
    agents: tuple[str, ...]
    talk_percent: int = 100


_SALES = _Team(
    "Sales",
    "918045678901",
    "1",
    "Kavita Menon",
    (
        *("Asha Rao", "Vikram Singh", "Priya Nair", "Mohammed Irfan", "Neha Kulkarni", "Arjun Reddy", "Sneha Patil"),
        "अनिल शर्मा",
    ),
)
_SUPPORT = _Team(
    "Support",
    "918045678902",
    "2",
    "राजेश गुप्ता",
    (
        *("Joseph D'Souza", "Deepa Iyer", "Rahul Mehta", "Farah Khan", "Karthik Subramanian", "Manoj Pillai"),
        *("Gurpreet Kaur", "सुनीता वर्मा"),
    ),
    talk_percent=130,
)
_RENEWALS = _Team(
    "Renewals & Upgrades",
    "912261234567",
    "3",
    "Kavita Menon",
    ("Pooja Deshmukh", "Sanjay Bhat", "Ananya Ghosh"),
    talk_percent=90,
)
_COLLECTIONS = _Team(
    "Collections",
    "911140012345",
    "4",
    "Anthony Thomas",
    ("Imran Sheikh", "Lakshmi Narayanan", "Rohit Chauhan"),
    talk_percent=70,
)
_DIWALI = _Team("दिवाली ऑफर", "918045678901", "5", "Kavita Menon", ("Meera Joshi", "प्रकाश यादव"))
_COMPANY = _Team("", "918045678900", "", "", ("Sunita Fernandes", "Tina Thomas"), talk_percent=40)

# Each vocabulary lists a word as often as it should turn up.
_TEAMS = (_SALES,) * 10 + (_SUPPORT,) * 9 + (_RENEWALS,) * 3 + (_COLLECTIONS,) * 3 + (_DIWALI,) * 2 + (_COMPANY,)
_MISSED_STATUSES = ("Missed",) * 6 + ("Voicemail",) * 2 + ("Busy", "Failed")
_ANSWERED_DETAILS = ("",) * 9 + (
    *(
        "Interested",
        "Not interested",
        "Call back tomorrow, 11:30",
        'Said "no, thanks"',
        "Sent the price list",
        "पता बदला",
    ),
    "{{%%campaign%%}}",
)
_MISSED_DETAILS = ("",) * 11 + ("Call back tomorrow, 11:30",)
_FORWARDS = ("false",) * 15 + ("918045678999",)
_KEYS_TOO = ("",) * 5 + ("1", "2", "12", "*9#")

#: How long people talk: seconds that this many per mille of the talks stay below. The median is two and a half minutes.
_TALK_PER_MILLE = (0, 30, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950, 980, 995, 1000)
_TALK_SECONDS = (4, 14, 36, 67, 94, 122, 152, 188, 238, 318, 470, 660, 960, 1500, 2700)

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
    """The profiles of a seed, as calls without customer, time and ids: first the answered ones, then the others.

    Args:
        seed: of the source.
        masked: whether these are calls over masked numbers; their ``details`` then name the pool they came through.
    """
    count = ANSWERED_PROFILES + MISSED_PROFILES
    return tuple(
        _profile(_Picker(scatter((seed << 16) + index)), masked, answered=index < ANSWERED_PROFILES)
        for index in range(count)
    )


def missed_below(hour: int) -> int:
    """For `profile_of`: which calls nobody answers that begin in an hour.

    Args:
        hour: 0 to 23, on the wall clock.
    """
    return ANSWERED_PROFILES * _MISSED_PERCENT[hour] // 100


def profile_of(bits: int, missed: int) -> int:
    """Which of `call_profiles` a call has.

    Args:
        bits: the call's 64 bits.
        missed: `missed_below` of the hour that the call begins in.
    """
    place = bits % ANSWERED_PROFILES
    return ANSWERED_PROFILES + (bits >> 24) % MISSED_PROFILES if place < missed else place


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


class _Picker:
    """Picks one word after another by a number."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def __call__(self, words: Sequence[T]) -> T:
        self._bits = scatter(self._bits)
        return words[self._bits % len(words)]


def _profile(pick: _Picker, masked: bool, *, answered: bool) -> Call:
    """Its times agree: the call is as long as the customer's part of it or longer, and so on to the talk."""
    team = pick(_TEAMS)
    menu, ringing = pick(range(4, 16)), pick(range(3, 26))
    if not answered:
        status = pick(_MISSED_STATUSES)
        waited = {"Busy": menu, "Failed": 0, "Voicemail": menu + 25 + pick(range(5, 41))}.get(
            status, menu + 2 * ringing
        )
        return Call(
            time=_ANY_TIME,
            did=team.did,
            campaign=team.campaign,
            agents="",
            master_agent=team.lead if pick(range(3)) == 0 else "",
            call_duration=waited + 1,
            customer_duration=waited,
            talk_duration=0,
            agent_duration=0,
            amount=0,
            status=status,
            details=_pool(pick) if masked else pick(_MISSED_DETAILS),
            forward=pick(_FORWARDS),
            dtmf=team.key if status != "Failed" else "",
        )
    talk = max(1, _talk_seconds(pick(range(1000))) * team.talk_percent // 100)
    on_hold = pick((0,) * 5 + (15, 40, 75)) if talk > 60 else 0
    customer = menu + ringing + talk + on_hold
    return Call(
        time=_ANY_TIME,
        did=team.did,
        campaign=team.campaign,
        agents=_agents(pick, team),
        master_agent=team.lead if pick(range(3)) == 0 else "",
        call_duration=customer + pick(range(1, 4)),
        customer_duration=customer,
        talk_duration=talk,
        agent_duration=talk + on_hold,
        amount=-(-talk // 15) * 0.25,
        recording=_SOME_RECORDING if pick(range(10)) else "",
        status="Answered",
        details=_pool(pick) if masked else pick(_ANSWERED_DETAILS),
        forward=pick(_FORWARDS),
        dtmf=team.key + pick(_KEYS_TOO),
    )


def _agents(pick: _Picker, team: _Team) -> str:
    """Mostly one agent; two where the call was passed on, and none where the menu itself had the answer."""
    kind, first = pick(range(40)), pick(team.agents)
    if kind == 0:
        return ""
    if kind > 2:
        return first
    at = team.agents.index(first)
    return f"{first}, {team.agents[(at + 1) % len(team.agents)]}"


def _pool(pick: _Picker) -> str:
    return f"masked, pool {1 + pick(range(4))}"


def _talk_seconds(per_mille: int) -> int:
    """The length of a talk that is longer than so many of a thousand."""
    at = bisect_right(_TALK_PER_MILLE, per_mille)
    low, high = _TALK_PER_MILLE[at - 1 : at + 1]
    shortest, longest = _TALK_SECONDS[at - 1 : at + 1]
    return shortest + (longest - shortest) * (per_mille - low) // (high - low)
