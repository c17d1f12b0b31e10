"""Settings that an earlier version recorded are read with their current values."""

from typing import Any

import pytest

from cxr_lightning.data.record import recorded_settings


@pytest.mark.parametrize(
    ("recorded", "current"), [("walkthrough", "official"), ("official", "official"), ("all", "all")]
)
def test_a_recorded_split_has_its_current_name(recorded: str, current: str) -> None:
    record: dict[str, Any] = {"settings": {"split": recorded, "seed": 3}}
    assert recorded_settings(record) == {"split": current, "seed": 3}
    assert record["settings"]["split"] == recorded  # the record itself is not changed
