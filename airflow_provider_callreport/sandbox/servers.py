"""The servers of a rehearsal under one name: the stand-in API, S3 and SMTP, and the proxy that breaks connections."""

from __future__ import annotations

from airflow_provider_callreport.sandbox.api_server import SandboxServer
from airflow_provider_callreport.sandbox.proxy import TcpProxy
from airflow_provider_callreport.sandbox.s3_server import SandboxS3
from airflow_provider_callreport.sandbox.smtp_server import ReceivedMail, SandboxSmtp, SmtpSettings

__all__ = ["ReceivedMail", "SandboxS3", "SandboxServer", "SandboxSmtp", "SmtpSettings", "TcpProxy"]
