"""Imports the modules of a package when their names are first used: verbs need few of them, and a person waits for imports."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def import_on_first_use(package: str, names: Mapping[str, Iterable[str]]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package (PEP 562).

    Args:
        package: the package's `__name__`.
        names: for each module of the package, the names that the package offers from it.
    """
    modules = {name: f"{package}.{module}" for module, offered in names.items() for name in offered}

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package} has no attribute {name}")
        return getattr(import_module(modules[name]), name)

    return get
