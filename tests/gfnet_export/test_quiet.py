from __future__ import annotations

import logging
import sys
import warnings

from gfnet_export.quiet import quietly


def test_nothing_is_printed_and_nothing_stays_changed(capfd):
    level, handlers = logging.root.level, logging.root.handlers[:]
    with quietly():
        print("progress")
        print("more", file=sys.stderr)
        warnings.warn("old", stacklevel=1)
        logging.basicConfig(level=logging.DEBUG, force=True)
        logging.getLogger("library").warning("news")
    assert capfd.readouterr() == ("", "")
    assert (logging.root.level, logging.root.handlers) == (level, handlers)
    print("mine")
    assert capfd.readouterr().out == "mine\n"


def test_errors_are_still_logged(caplog):
    with quietly():
        logging.getLogger("library").error("broken")
    assert [record.getMessage() for record in caplog.records] == ["broken"]
