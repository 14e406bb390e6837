"""Writes ``sbom.cdx.json``: what the wheel holds that is not ours, for the folder ``sboms`` of its metadata (PEP 770).

The wheel's requirements are in its metadata. These do not name the fonts: subsets of Noto, each a component of the
CycloneDX document, with licence and SHA-256. ``python tools/sbom.py`` writes it anew; `tests/test_packaging.py` fails
when it is out of date.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from airflow_provider_callreport import __version__

ROOT = Path(__file__).parent.parent
SBOM = ROOT / "sbom.cdx.json"
FONTS = ROOT / "airflow_provider_callreport" / "formats" / "pdf" / "typefaces"

_NAME = "airflow-provider-callreport"


def document() -> dict[str, Any]:
    """The document: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/); no time is in it."""
    purl = f"pkg:pypi/{_NAME}@{__version__}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": purl,
                "name": _NAME,
                "version": __version__,
                "purl": purl,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [_font(path) for path in sorted(FONTS.glob("*.ttf"))],
    }


def text() -> str:
    """The document as it is in the file."""
    return json.dumps(document(), indent=2) + "\n"


def _font(path: Path) -> dict[str, Any]:
    place = path.relative_to(ROOT).as_posix()
    return {
        "type": "file",
        "bom-ref": place,
        "name": place,
        "description": "subset of a Noto font",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        "licenses": [{"license": {"id": "OFL-1.1"}}],
        "externalReferences": [{"type": "website", "url": "https://notofonts.github.io"}],
    }


def main() -> int:
    """Write the document."""
    SBOM.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
