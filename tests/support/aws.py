"""Makes S3 clients quick: tests make thousands, and most of a client's time goes into what is the same for each."""

from __future__ import annotations

import functools
import inspect

import botocore.session


def make_clients_quick() -> None:
    """Let all clients of this process share what no test is about; call it before the first one is made.

    botocore reads the models of its services anew for each session: a megabyte of JSON, and a listing of 400 folders.
    The Amazon provider looks for its caller's name by `inspect.stack`, which by default reads the source lines of each
    frame too; they are not used.
    """
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    inspect.stack.__defaults__ = (0,)
