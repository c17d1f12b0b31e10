"""Lookup tables of a DICOM image."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.bit_depth import effective_bits, scale_to_8_bits

if TYPE_CHECKING:
    from pydicom import Dataset


def look_up(values: NDArray[np.int64], table: "Dataset") -> NDArray[np.int64]:
    """Entries of a table; pydicom's own function takes wrong ones where entries have fewer bits than values."""
    entries = table_entries(table)
    found: NDArray[np.int64] = entries[(values - table.LUTDescriptor[1]).clip(0, len(entries) - 1)]
    return found


def table_entries(table: "Dataset") -> NDArray[np.int64]:
    """All entries of a table, in either byte order."""
    count = table.LUTDescriptor[0] or 1 << 16
    data = table.LUTData
    if isinstance(data, bytes):
        _, little_endian = table.original_encoding
        two_bytes = ">u2" if little_endian is False else "<u2"
        data = np.frombuffer(data, two_bytes if len(data) >= 2 * count else np.uint8)
    return np.asarray(data, dtype=np.int64)[:count]


def scale_by_table(looked_up: NDArray[np.int64], table: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    """Scale entries of a table by the table's bit depth."""
    bits = effective_bits(int(table_entries(table).max()), int(table.LUTDescriptor[2]))
    return scale_to_8_bits((1 << bits) - 1 - looked_up if inverted else looked_up, bits)
