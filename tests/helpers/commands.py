"""Commands as a user starts them, in this process."""

from types import ModuleType

from avpipeline import cli


def run_command(module: ModuleType, *words) -> int:
    """Runs the command of a module, e.g. `ave.train`, with words of any type; returns its exit status."""
    prog = f"python -m {module.__name__.removesuffix('.__main__')}"
    follow = {"defaults": module.PAPER.defaults} if module.__name__.endswith(".train") else {}
    return cli.run(module.main, prog=prog, argv=list(map(str, words)), **follow)
