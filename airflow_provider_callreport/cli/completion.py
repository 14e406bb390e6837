"""``callreport completion``: the script with which a shell completes ``callreport``.

The script asks ``callreport`` itself, by argcomplete, which Airflow brings: what is completed is never out of date.
"""

from __future__ import annotations

import argparse

from airflow_provider_callreport.cli.exit_codes import ExitCode

#: Below the help.
INSTALL = """\
Where the script goes:
  bash  callreport completion bash > ~/.local/share/bash-completion/completions/callreport
  zsh   echo 'eval "$(callreport completion zsh)"' >> ~/.zshrc    (after the line with compinit)
  fish  callreport completion fish > ~/.config/fish/completions/callreport.fish
It works in the next shell that you open."""


def run(options: argparse.Namespace) -> ExitCode:
    """Print the script.

    Args:
        options: ``shell``.
    """
    import argcomplete

    script = argcomplete.shellcode(["callreport"], shell=options.shell)  # type: ignore[attr-defined]  # its __all__ lacks it
    options.out.write(script)
    return ExitCode.OK
