"""One call as the sandbox knows it; `rows` gives it a shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: The sixteen column labels of the vendor's own example answer, in its order.
LABELS = (
    "Caller Number",
    "Time",
    "DID Number",
    "Campaign",
    "Agents",
    "Master Agent",
    "Call Duration",
    "Customer Duration",
    "Total Talk Duration",
    "Agent on Call Duration",
    "Amount",
    "Rec.",
    "Status",
    "Details",
    "Forward",
    "DTMF",
)

#: What the ``fields`` and ``hit`` row shapes call the same sixteen. Those that the vendor's webhooks send are spelled
#: as there (``cNumber``, ``ivrSTime``, ``did``, ``masterAgent``, ``ivrDuration``, ``talkDuration``,
#: ``agentOnCallDuration``, ``totalCreditsUsed``, ``recordings``, ``callStatus``, ``forward``); the others are made up.
FIELD_NAMES = (
    "cNumber",
    "ivrSTime",
    "did",
    "campName",
    "agents",
    "masterAgent",
    "ivrDuration",
    "customerDuration",
    "talkDuration",
    "agentOnCallDuration",
    "totalCreditsUsed",
    "recordings",
    "callStatus",
    "details",
    "forward",
    "dtmf",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        time: when it began, naive, in the account's zone; ``fold=1`` marks the second run of an hour that a clock
            change repeats.
        number: the customer's number as text, such as ``"919812345670"``.
        did: the company's number that was called.
        campaign, agents, master_agent: names, ``""`` for none; several agents are separated by ``", "``.
        call_duration, customer_duration, talk_duration, agent_duration: seconds.
        amount: credits used.
        recording: the recording's token path, ``""`` for none.
        status: such as ``"Answered"``.
        details, forward, dtmf: text, ``""`` for none.
        call_id: the API's id of the call, 27 characters; `ListedCalls` numbers the calls that have none.
        mask: id of the masked number, such as ``"mask_10042"``, ``""`` for none.
        cells: cells by label that are sent exactly as given here, whatever the value shapes say.
        extra: further keys of rows that are objects.
    """

    time: datetime
    number: str = "919800000000"
    did: str = "918045000001"
    campaign: str = "Sales"
    agents: str = "Asha Rao"
    master_agent: str = ""
    call_duration: int = 60
    customer_duration: int = 50
    talk_duration: int = 40
    agent_duration: int = 45
    amount: float = 1
    recording: str = ""
    status: str = "Answered"
    details: str = ""
    forward: str = "false"
    dtmf: str = ""
    call_id: str = ""
    mask: str = ""
    cells: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
