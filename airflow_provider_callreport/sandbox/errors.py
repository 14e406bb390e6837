"""The vendor's error answers."""

from __future__ import annotations

from typing import Any

#: Messages of the codes that the vendor's page documents, and of 1004 and 1012, which its sister pages use
#: for "not there" and "nothing found".
MESSAGES = {
    1000: "Invalid parameters",
    1004: "Not found",
    1009: "Something went wrong",
    1010: "Error in DB connect",
    1012: "No data found",
    1014: "Invalid token",
    1015: "Permission denied",
    1047: "Invalid Request Data",
}


class VendorError(Exception):
    """A request that gets an error answer.

    Attributes:
        code: the vendor's code.
        message: its message.
    """

    def __init__(self, code: int, message: str | None = None) -> None:
        self.code = code
        self.message = message or MESSAGES.get(code, "Error")
        super().__init__(f"{self.code} {self.message}")


def error_body(code: object, message: str | None = None) -> dict[str, Any]:
    """``{"status": "error", "message": ..., "code": ...}``, the form that the vendor's page documents."""
    if message is None:
        message = MESSAGES.get(code, "Error") if isinstance(code, int) else "Error"
    return {"status": "error", "message": message, "code": code}
