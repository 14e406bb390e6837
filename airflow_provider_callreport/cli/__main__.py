"""``python -m airflow_provider_callreport.cli``: what the console script ``callreport`` runs."""

from __future__ import annotations

import sys

from airflow_provider_callreport.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
