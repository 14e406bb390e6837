"""Reads package and Dag files as Airflow does, and fails on what is wrong: ``python -m tools.parse_dags FOLDER...``.

Wrong are a module or a Dag file that cannot be imported, and every warning that is about code of ours: one that Airflow
or Python gives because of a line in the package or in a Dag file, such as a deprecated import. Warnings that other
packages cause in themselves are theirs.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import airflow_provider_callreport
from tools.run_dags import DagBag


def main(folders: Sequence[str]) -> int:
    """Read all; the exit status is 1 when something is wrong and 0 otherwise."""
    wrong: list[str] = []
    dags = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for module in modules():
            try:
                importlib.import_module(module)
            except Exception as error:
                wrong.append(f"{module}: {type(error).__name__}: {error}")
        for folder in folders:
            bag = DagBag(folder)
            dags += len(bag.dags)
            wrong += [f"{file}: {error}" for file, error in bag.import_errors.items()]
    ours = [str(Path(name).resolve()) for name in (airflow_provider_callreport.__path__[0], *folders)]
    wrong += [
        f"{warning.filename}:{warning.lineno}: {warning.category.__name__}: {warning.message}"
        for warning in caught
        if warning.filename.startswith(tuple(ours))
    ]
    for line in wrong:
        sys.stdout.write(f"WRONG {line}\n")
    sys.stdout.write(f"{dags} Dags read, {len(wrong)} wrong\n")
    return 1 if wrong or not dags else 0


def modules() -> list[str]:
    """Every module of the package but the ones that are programs."""
    names = pkgutil.walk_packages(airflow_provider_callreport.__path__, "airflow_provider_callreport.")
    return [module.name for module in names if not module.name.endswith(".__main__")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
