"""The command line: ``callreport``, and ``airflow callreport`` on Airflow 3.2 and later.

Both are made from the same commands. A command reads the account from an Airflow connection and exports as the
operators do, so that its file is the operators' file, byte for byte. It ends with one of `exit_codes.ExitCode`, and an
error is one sentence on standard error.
"""
