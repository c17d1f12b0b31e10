"""Log records and warnings are one line without control characters, whatever handler or formatter writes them."""

import logging
import warnings
from collections.abc import Iterator
from io import StringIO

import pytest

from cxr_lightning.utils.log_records import keep_logs_plain


@pytest.fixture
def plain_logs() -> Iterator[None]:
    factory, format_warning = logging.getLogRecordFactory(), warnings.formatwarning
    keep_logs_plain()
    yield
    logging.setLogRecordFactory(factory)
    warnings.formatwarning = format_warning


@pytest.mark.usefixtures("plain_logs")
@pytest.mark.parametrize("pattern", [None, "%(levelname)s %(message)s"])
def test_a_record_is_one_line_also_with_an_exception(pattern: str | None) -> None:
    stream = StringIO()
    handler, logger = logging.StreamHandler(stream), logging.Logger("test")
    handler.setFormatter(None if pattern is None else logging.Formatter(pattern))
    logger.addHandler(handler)
    logger.warning("read %s", "a\x1b[2J\r\nerror: forged\u2028\u202e.png")
    try:
        raise ValueError("b\x9b31m\nc")
    except ValueError:
        logger.exception("failed %d%%", 3, stack_info=True)
    first, second, rest = stream.getvalue().split("\n")
    assert first.endswith(r"read a\x1b[2J\r\nerror: forged\u2028\u202e.png")
    assert "failed 3%" in second
    assert r"ValueError: b\x9b31m\nc" in second
    assert rest == ""


@pytest.mark.usefixtures("plain_logs")
def test_a_warning_is_one_line() -> None:
    text = warnings.formatwarning("a\x1b[31m\nb", UserWarning, "x.py", 3)
    assert text == "x.py:3: UserWarning: a\\x1b[31m\\nb\n"
