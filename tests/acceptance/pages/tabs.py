"""Tabs of the browser. To open one takes longer than most tests look at it, so tests that need nothing special share one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any


class Tabs:
    """Opens pages for the tests of a module, and notes what these log, throw or request from the network."""

    def __init__(self, browser: Any, *, script: str = "", must_load: bool = False, **options: object) -> None:
        """Open nothing yet.

        Args:
            browser: Playwright's.
            script: runs in each page before its own scripts.
            must_load: whether each file that a page requests must be there.
            options: of Playwright's `new_context`.
        """
        self._browser, self._script, self._must_load, self._options = browser, script, must_load, options
        self._shared: Any = None
        self._taken = False
        self._own: list[Any] = []
        self._complaints: list[str] = []

    def open(self, address: str, *, own: bool = False, clock: datetime | bool = False, **options: object) -> Any:
        """Open a page.

        Args:
            address: where it is.
            own: in a tab that no other test used, for tests of the history, and for those that grant permissions.
            clock: when it is in the page, where time then goes on only if the test says so; True for now.
            options: beside those of all tabs.
        """
        if own or clock or options or self._taken:
            page = self._tab(**options)
            self._own.append(page.context)
            if clock:
                page.clock.install(time=None if clock is True else clock)
        else:
            page = self._shared = self._shared or self._tab()
            self._taken = True
        page.goto(address)
        return page

    @contextmanager
    def of_one_test(self) -> Iterator[None]:
        """Close the tabs that the test opened, empty the shared one, and fail the test if there is anything to complain about."""
        yield
        for context in self._own:
            context.close()
        complaints = list(self._complaints)
        if self._taken:
            self._shared.goto("about:blank")
            self._shared.mouse.move(0, 0)
        self._own, self._taken = [], False
        self._complaints.clear()
        assert complaints == []

    def close(self) -> None:
        """Close the shared tab."""
        if self._shared:
            self._shared.context.close()

    def _tab(self, **options: object) -> Any:
        page = self._browser.new_context(**self._options | options).new_page()
        if self._script:
            page.add_init_script(self._script)
        page.on("console", lambda message: self._complaints.append(message.text))
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        if self._must_load:
            page.on("requestfailed", lambda request: self._complaints.append(request.url))
        return page

    def _asked(self, address: str) -> None:
        if not address.startswith(("file:", "data:")):
            self._complaints.append(address)
