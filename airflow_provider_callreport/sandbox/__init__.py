"""A stand-in for the DeepCall Call Report API, with S3 and SMTP beside it: for tests, demonstrations and your own CI.

It needs the extra ``sandbox`` (``pip install 'airflow-provider-callreport[sandbox]'``), listens on 127.0.0.1 only and
knows nothing of this package's own client: it was written from the vendor's documentation alone, as a second witness.

From a shell::

    python -m airflow_provider_callreport.sandbox --calls-per-day 3000 --cursor top

prints the ``AIRFLOW_CONN_*`` values to export, and serves until it is interrupted. In a test::

    from airflow_provider_callreport.sandbox.faults import Fault
    from airflow_provider_callreport.sandbox.servers import SandboxServer
    from airflow_provider_callreport.sandbox.settings import SandboxSettings

    def test_a_report_with_a_hole_fails(monkeypatch):
        settings = SandboxSettings(faults=[Fault("short_page", page=1)])
        with SandboxServer(settings) as server:
            monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", server.connection_json())
            ...

What is where: ``settings`` (how it behaves), ``faults`` (what can go wrong, by name), ``calls`` (synthetic calls by the
million, or listed ones), ``servers`` (the servers), ``app`` (the API as an ASGI application).
"""
