"""E-mail addresses: text that people type becomes addresses that can neither break a header nor surprise a server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from email.headerregistry import Address

from airflow_provider_callreport.rules import shown

#: Separators outside of quotes and angle brackets: ``"Rao, Asha" <a@example.com>; b@example.com`` is two.
_ENTRY = re.compile(r"""((?:"[^"]*"|<[^>]*>|[^,;"<>])+)|[,;]|["<>]""")
_NAMED = re.compile(r"""(?:"(?P<quoted>[^"\\]*)"|(?P<plain>[^"<>,;:@()\\\[\]]*))\s*<(?P<address>[^<>\s]+)>""")
#: The same as Outlook copies it: the name is all that stands before the address, or is the address itself.
_OUTLOOK = re.compile(r"""(?P<quoted>)(?P<plain>[^"<>@;]*[^"<>@;\s])\s*<(?P<address>[^<>\s]+)>""")
_TWICE = re.compile(
    r"""(?P<quoted>)(?P<plain>)'?(?P<address>[^<>'\s,;]+@[^<>'\s,;]+)'?\s*<(?P=address)>""", re.IGNORECASE
)

#: RFC 5322 dot-atom, with RFC 6531's non-ASCII characters. Quoted local parts are not accepted: hardly any exist.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def parse_recipients(value: str | Iterable[str] | None, argument: str) -> tuple[Address, ...]:
    """Read one or more addresses.

    Args:
        value: text with addresses separated by comma or semicolon, or a list of them; None and an empty list give
            none. Each is ``asha@example.com`` or ``Asha Rao <asha@example.com>``. A list that was copied from Outlook
            is read too.
        argument: the argument's name, for messages.

    Returns:
        The addresses in their order. A domain in another script is in its ASCII form (``xn--``); a non-ASCII local
        part is kept, see `needs_smtputf8`.

    Raises:
        ValueError: something in it is not an address.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        entries: Sequence[object] = _split(value)
    elif isinstance(value, Iterable):
        entries = [entry for item in value for entry in (_split(item) if isinstance(item, str) else [item])]
    else:
        entries = [value]
    return tuple(_parse(entry, argument, several=len(entries) > 1) for entry in entries)


def check_recipients(to: Sequence[Address], cc: Sequence[Address], bcc: Sequence[Address]) -> None:
    """Refuse a mail to nobody and a mail that somebody would get twice.

    Raises:
        ValueError: ``to`` is empty, or an address comes twice in the three lists together.
    """
    if not to:
        raise ValueError("email_to has no address; allowed are one or more")
    check_no_duplicates({"email_to": to, "email_cc": cc, "email_bcc": bcc})


def check_no_duplicates(addresses: Mapping[str, Sequence[Address]]) -> None:
    """Refuse an address that comes twice.

    Args:
        addresses: addresses by the argument that has them.

    Raises:
        ValueError: one comes twice, in one argument or in two.
    """
    seen: dict[str, str] = {}
    for argument, of_argument in addresses.items():
        for address in of_argument:
            key = address.addr_spec.casefold()
            if key in seen:
                raise ValueError(
                    f"{address.addr_spec} comes twice, in {seen[key]} and {argument}; each address may come once"
                )
            seen[key] = argument


def needs_smtputf8(address: Address) -> bool:
    """Whether only a server with the SMTPUTF8 extension (RFC 6531) can take the address."""
    return not address.addr_spec.isascii()


def _split(value: str) -> list[str]:
    """Split at separators; an empty text or an entry left empty gives ``""``, which is not an address.

    Where semicolons separate, as in a list that was copied from Outlook, a comma may stand in a name:
    ``Rao, Asha <a@example.com>; Kumar, Ravi <b@example.com>``. One at the end of all separates nothing.
    """
    entries = _split_at(value.replace("\u00a0", " "), ";")
    if len(entries) == 1:
        return _split_at(entries[0], ",")
    if not entries[-1] and any(entries):
        entries.pop()
    return [part for entry in entries for part in ([entry] if _OUTLOOK.fullmatch(entry) else _split_at(entry, ","))]


def _split_at(value: str, separator: str) -> list[str]:
    entries = [""]
    for match in _ENTRY.finditer(value):
        if match[0] == separator:
            entries.append("")
        else:
            entries[-1] += match[0]
    return [entry.strip() for entry in entries]


def _parse(entry: object, argument: str, *, several: bool) -> Address:
    wrong = (
        f"{argument} has {shown(entry)}; allowed are addresses such as asha@example.com or Asha Rao <asha@example.com>"
    )
    if not isinstance(entry, str):
        raise ValueError(wrong)
    # Also CR and LF, which would begin a header of their own.
    if not entry.isprintable():
        raise ValueError(f"{wrong}; it has a line break or another control character")
    if "=?" in entry:
        raise ValueError(f"{wrong}; it has an encoded word (RFC 2047); write the name as it is")
    named = _NAMED.fullmatch(entry) or _OUTLOOK.fullmatch(entry) or _TWICE.fullmatch(entry)
    name = ((named["quoted"] or named["plain"] or "") if named else "").strip()
    local, at, domain = (named["address"] if named else entry).rpartition("@")
    if not at and several:
        raise ValueError(
            f'{wrong}; a comma begins another address; write a name with a comma in quotes, "Rao, Asha" '
            f"<asha@example.com>, or put semicolons between the addresses"
        )
    if not at or not _LOCAL.fullmatch(local):
        raise ValueError(wrong)
    ascii_domain = _ascii_domain(domain)
    if not _DOMAIN.fullmatch(ascii_domain):
        raise ValueError(f"{wrong}; {domain!r} is not a domain")
    # RFC 5321, 4.5.3.1; the length of the whole is RFC 3696's erratum 1690.
    if len(local.encode()) > 64 or len(local.encode()) + 1 + len(ascii_domain) > 254:
        raise ValueError(f"{wrong}; it is too long (64 bytes before the @, 254 together)")
    return Address(display_name=name, username=local, domain=ascii_domain)


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain
    import idna

    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""
