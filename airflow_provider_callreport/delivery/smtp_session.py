"""A connection to a mail server that is logged in, as Airflow's SMTP connection says.

Airflow's ``SmtpHook`` is asked for the connection's fields, and not for the session. Its ``get_conn`` tries again up to
five times at once. Its OAuth2 login sends ``AUTH`` before ``EHLO`` where TLS begins with the connection, and takes the
server's answer, 503 (bad sequence of commands), for a success: the first mail is then refused without a word about
the login (providers-smtp 3.2.0; ``smtplib.SMTP.auth`` takes 503 for "already logged in").
"""

from __future__ import annotations

import base64
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import Any

from airflow_provider_callreport.connection import no_such_connection
from airflow_provider_callreport.delivery.errors import DestinationRefusedError, DestinationUnavailableError
from airflow_provider_callreport.delivery.recipients import parse_recipients
from airflow_provider_callreport.delivery.smtp_answers import read_answer, refusal

#: Microsoft's defaults, as the SMTP provider has them.
_TENANT = "common"
_SCOPE = "https://outlook.office.com/.default"


@dataclass(frozen=True)
class Session:
    """A connection that is logged in.

    Attributes:
        client: the open ``smtplib`` client.
        sender: the address that the connection sends from.
        size_limit: what the server says that a mail may have (the SIZE extension, RFC 1870), or None.
        smtputf8: whether it takes non-ASCII addresses (RFC 6531).
        secrets: what must not be shown of the server's answers.
    """

    client: smtplib.SMTP
    sender: Address
    size_limit: int | None
    smtputf8: bool
    secrets: tuple[str, ...] = field(default=(), repr=False)


@contextmanager
def open_session(smtp_conn_id: str) -> Iterator[Session]:
    """Connect and log in as Airflow's SMTP connection says; close at the end.

    Raises:
        DestinationRefusedError: no such connection, no sender, login or TLS refused, OAuth2 without a token.
        DestinationUnavailableError: the server cannot be reached or asks to come back later.
    """
    hook = _hook(smtp_conn_id)
    where = f'SMTP connection "{smtp_conn_id}"'
    sender = _sender(hook, where)
    token = _access_token(hook, where) if _uses_oauth2(hook, where) else ""
    secrets = tuple(filter(None, (token, hook.smtp_password)))
    with _connection_errors(where, secrets):
        client = _connected(hook)
    try:
        with _connection_errors(where, secrets):
            if token:
                _log_in_by_oauth2(client, hook.smtp_user or sender.addr_spec, token, where, secrets)
            elif hook.smtp_user and hook.smtp_password:
                _log_in(client, hook.smtp_user, hook.smtp_password)
            size = client.esmtp_features.get("size", "")
        yield Session(
            client=client,
            sender=sender,
            # "0" and no number mean no limit.
            size_limit=(int(size) or None) if size.isdecimal() else None,
            smtputf8=client.has_extn("smtputf8"),
            secrets=secrets,
        )
        with suppress(smtplib.SMTPException, OSError):
            client.quit()
    finally:
        client.close()


def check_connection(smtp_conn_id: str) -> None:
    """Check Airflow's SMTP connection as far as that needs no server.

    Raises:
        DestinationRefusedError: no such connection, no sender, or OAuth2 without a token and a way to get one.
    """
    hook = _hook(smtp_conn_id)
    where = f'SMTP connection "{smtp_conn_id}"'
    _sender(hook, where)
    if _uses_oauth2(hook, where):
        _check_oauth2(hook, where)


def _hook(smtp_conn_id: str) -> Any:
    """Airflow's hook with its connection looked up, and no session."""
    from airflow.providers.common.compat.sdk import AirflowNotFoundException
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    hook = SmtpHook(smtp_conn_id=smtp_conn_id)
    try:
        hook.smtp_connection = hook.get_connection(smtp_conn_id)
    except AirflowNotFoundException as error:
        raise DestinationRefusedError(f"{no_such_connection(smtp_conn_id, 'smtp_conn_id', 'SMTP')}.") from error
    return hook


def _connected(hook: Any) -> smtplib.SMTP:
    """A client that has connected and greeted, over TLS unless the connection says otherwise."""
    # "none" is the SMTP provider's word for leaving out the check of the certificate, and None is smtplib's.
    context = None if hook.ssl_context == "none" else ssl.create_default_context()
    client: smtplib.SMTP
    if hook.use_ssl:
        client = smtplib.SMTP_SSL(hook.host, hook.port or 0, timeout=hook.timeout, context=context)
    else:
        client = smtplib.SMTP(hook.host, hook.port or 0, timeout=hook.timeout)
    try:
        client.ehlo_or_helo_if_needed()
        if hook.smtp_starttls and not hook.use_ssl:
            client.starttls(context=context)
            client.ehlo_or_helo_if_needed()
    except BaseException:
        client.close()
        raise
    return client


def _log_in(client: smtplib.SMTP, user: str, password: str) -> None:
    code, words = client.login(user, password)
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, words)


def _log_in_by_oauth2(client: smtplib.SMTP, user: str, token: str, where: str, secrets: tuple[str, ...]) -> None:
    """XOAUTH2, as Microsoft and Google define it: user and token in one line; the answer to a challenge is empty."""
    offered = client.esmtp_features.get("auth", "").split()
    if "XOAUTH2" not in (name.upper() for name in offered):
        raise DestinationRefusedError(
            f'The mail server of {where} offers no XOAUTH2, which auth_type "oauth2" needs; it offers '
            f"{', '.join(sorted(set(offered))) or 'no login at all'}."
        )
    initial = base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()
    code, words = client.docmd("AUTH", f"XOAUTH2 {initial}")
    if code == 334:
        # The server tells in a challenge, in JSON, that it refuses. Its answer in words comes after an empty line.
        code, words = client.docmd("")
    if code != 235:
        raise refusal(f"the login of {where}", read_answer(code, words, secrets), by_token=True)


def _uses_oauth2(hook: Any, where: str) -> bool:
    kind = hook.auth_type
    if kind not in ("basic", "oauth2"):
        raise DestinationRefusedError(f"auth_type of {where} is {kind!r}; allowed are basic and oauth2.")
    return bool(kind == "oauth2")


def _check_oauth2(hook: Any, where: str) -> None:
    """Refuse OAuth2 without a token, and without fields and library to get one."""
    extra = hook.conn.extra_dejson
    if extra.get("access_token"):
        return
    if not extra.get("client_id") or not extra.get("client_secret"):
        raise DestinationRefusedError(
            f'auth_type of {where} is "oauth2", and it has no access_token, nor client_id and client_secret; set them.'
        )
    try:
        import msal  # noqa: F401
    except ImportError as error:
        raise DestinationRefusedError(
            f'auth_type of {where} is "oauth2" with client_id and client_secret: that needs the library msal; install '
            f"airflow-provider-callreport[oauth2]."
        ) from error


def _access_token(hook: Any, where: str) -> str:
    """The connection's own token, or one from Microsoft for its client id and secret.

    The fields are those of the SMTP provider: ``access_token``, or ``client_id``, ``client_secret``, ``tenant_id`` and
    ``scope``.
    """
    _check_oauth2(hook, where)
    extra = hook.conn.extra_dejson
    if extra.get("access_token"):
        return str(extra["access_token"])
    import requests
    from msal import ConfidentialClientApplication

    secrets = (str(extra["client_secret"]),)
    try:
        application = ConfidentialClientApplication(
            client_id=extra["client_id"],
            client_credential=extra["client_secret"],
            authority=f"https://login.microsoftonline.com/{extra.get('tenant_id') or _TENANT}",
            timeout=hook.timeout,
        )
        answer = application.acquire_token_for_client(scopes=[extra.get("scope") or _SCOPE])
    except requests.RequestException as error:
        raise DestinationUnavailableError(
            f"Microsoft's login page could not be reached for a token of {where} ({type(error).__name__})."
        ) from error
    except (ValueError, KeyError) as error:
        # What msal raises for a tenant that does not exist, and for a page that is not Microsoft's.
        said = read_answer(0, str(error), secrets).words.partition(". ")[0]
        raise DestinationRefusedError(
            f"Microsoft gives no token for {where}; check its tenant_id. msal said: {said}."
        ) from None
    if "access_token" not in answer:
        said = read_answer(0, str(answer.get("error_description") or answer.get("error")), secrets).words
        raise DestinationRefusedError(
            f"Microsoft gives no token for {where}; check its client_id, client_secret and tenant_id. It said: {said}"
        )
    return str(answer["access_token"])


def _sender(hook: Any, where: str) -> Address:
    """The connection's ``from_email``, else its login when that is an address."""
    login = hook.smtp_user if "@" in (hook.smtp_user or "") else ""
    configured = hook.from_email or login
    if not configured:
        raise DestinationRefusedError(f'{where} does not say who sends; set "From email" (extra from_email) in it.')
    try:
        (sender,) = parse_recipients(configured, "from_email")
    except ValueError as error:
        raise DestinationRefusedError(f"From email in {where} is not valid: {error}") from None
    return sender


@contextmanager
def _connection_errors(where: str, secrets: tuple[str, ...]) -> Iterator[None]:
    """Name what ``smtplib`` raises until the login is done."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise refusal(f"the login of {where}", read_answer(error.smtp_code, error.smtp_error, secrets)) from error
    except smtplib.SMTPNotSupportedError as error:
        raise DestinationRefusedError(
            f"The mail server of {where} offers no STARTTLS or no login; check disable_tls, disable_ssl and the login."
        ) from error
    except smtplib.SMTPResponseException as error:
        answer = read_answer(error.smtp_code, error.smtp_error, secrets)
        raise refusal(f"the connection of {where}", answer) from error
    except ssl.SSLCertVerificationError as error:
        raise DestinationRefusedError(
            f"The certificate of the mail server of {where} is not valid: {error.verify_message}."
        ) from error
    except ssl.SSLError as error:
        raise DestinationRefusedError(
            f"The mail server of {where} speaks no TLS at this port ({error.reason}); check the port, disable_ssl and "
            f"disable_tls."
        ) from error
    except UnicodeEncodeError as error:
        raise DestinationRefusedError(
            f"Login or password of {where} has a character beyond ASCII, which this way to log in cannot send."
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise DestinationUnavailableError(
            f"Could not connect to the mail server of {where} ({system_words(error)})."
        ) from error


def system_words(error: Exception) -> str:
    """What failed, in the system's words, without an address of ours."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
