"""``format_options``: what is refused, and in which words."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_callreport.formats import FORMATS


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        (
            "csv",
            {"delimeter": ";"},
            "format_options of file_format \"csv\" has no option 'delimeter' (did you mean 'delimiter'?); "
            "allowed are delimiter, bom, excel_friendly, guard_formulas, gzip, line_breaks",
        ),
        ("csv", {"delimiter": "::"}, "{csv}: delimiter is '::'; allowed are ',', ';', '\\t', '|'"),
        ("csv", {"bom": "yes"}, "{csv}: bom is 'yes'; allowed are True and False"),
        ("csv", {"line_breaks": "drop"}, "{csv}: line_breaks is 'drop'; allowed are keep, space"),
        ("csv", {"gzip": 1}, "{csv}: gzip is 1; allowed are True and False"),
        ("jsonl", {"bom": True}, "format_options of file_format \"jsonl\" has no option 'bom'; allowed are gzip"),
        ("xlsx", {"gzip": True}, "format_options of file_format \"xlsx\" has no option 'gzip'; allowed are none"),
        ("parquet", {"codec": 1}, "format_options of file_format \"parquet\" has no option 'codec'; allowed are none"),
        ("pdf", {"max_rows": 0}, "{pdf}: max_rows is 0; allowed is a whole number of at least 1"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(name: str, options: dict[str, Any], sentence: str) -> None:
    """clear-sentence: one sentence that names the option, what it was and what is allowed."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        FORMATS[name].check_options(options)
    assert str(caught.value) == sentence.replace(f"{{{name}}}", f'format_options of file_format "{name}"')


def test_defaults_fill_what_was_not_set() -> None:
    """The writer reads one complete mapping."""
    assert FORMATS["csv"].check_options({"delimiter": ";"}) == {
        "delimiter": ";",
        "bom": False,
        "excel_friendly": False,
        "guard_formulas": True,
        "gzip": False,
        "line_breaks": "keep",
    }


def test_checking_options_imports_no_file_library() -> None:
    """light-import: a Dag file that names a format pays for none."""
    code = (
        "import sys\n"
        "from airflow_provider_callreport.formats import FORMATS\n"
        "for format in FORMATS.values(): format.check_options({})\n"
        "print(sorted({'openpyxl', 'pyarrow', 'uharfbuzz', 'airflow', 'requests'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_format_whose_library_is_missing_names_the_extra() -> None:
    """Parquet is an extra: the error says which one to install."""
    code = (
        "import sys\n"
        "sys.modules['pyarrow'] = None\n"
        "from airflow_provider_callreport.formats import FORMATS\n"
        "try: FORMATS['parquet'].load()\n"
        "except ImportError as error: print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'airflow-provider-callreport[parquet]'" in printed
