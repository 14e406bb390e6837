"""An extension of Griffe, which reads the docstrings for the docs site; ``mkdocs.yml`` names it."""

from __future__ import annotations

from typing import Any

# Griffe comes with the group `docs`, and mypy looks at this file without it, too.
from griffe import Extension  # type: ignore[import-not-found,unused-ignore]

from tools.docs_site import as_markdown


class Docstrings(Extension):  # type: ignore[misc,unused-ignore]
    """Griffe calls it for each object that it has read."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Make the object's docstring one that Markdown can show."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
