"""Label columns to the findings of a model: other names, and what an uncertain label is taken for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cxr_lightning.data.datasets.base import DatasetLayout
from cxr_lightning.data.label_meaning import check_label_map, check_meanings
from cxr_lightning.data.manifest import MANIFEST_COLUMNS, Manifest
from cxr_lightning.data.table_cells import UNCERTAIN
from cxr_lightning.data.table_problems import TablesError, quoted_names
from cxr_lightning.labels import UncertainMeaning
from cxr_lightning.utils.suggestions import did_you_mean

_VALUES: Mapping[str, float] = MappingProxyType({"ignore": np.nan, "zeros": 0.0, "ones": 1.0})


@dataclass(frozen=True)
class LabelPolicy:
    """How label columns become the findings of a model.

    Args:
        label_map: The model's findings by the names of columns that are spelled in another way. With a map, findings
            that the files do not have are unknown in all images, and n/a in every result; without one, they are errors.
        uncertain: What -1 (uncertain) is taken for, in all findings or by finding; an error if None.

    Raises:
        ValueError: If two columns are mapped to one finding, or a meaning is not among the choices.
    """

    label_map: Mapping[str, str] | None = None
    uncertain: UncertainMeaning | Mapping[str, UncertainMeaning] | None = None

    def __post_init__(self) -> None:
        check_meanings(self.label_map, self.uncertain)

    def read(
        self, layout: DatasetLayout, root: Path, labels: Sequence[str] | None
    ) -> tuple[Manifest, TablesError | None]:
        """Read a data set's tables as far as they can be used.

        Args:
            layout: The layout of its files.
            root: The data set's folder.
            labels: Findings of the model, in output order; all of the layout if None.

        Returns:
            The table, with targets 1, 0 and NaN, and what is wrong with it.

        Raises:
            FileNotFoundError: If the folder or a table is not there.
            ValueError: If no part of the tables can be used, or the map does not fit them.
        """
        columns = self._columns(layout, root, labels)
        try:
            manifest, error = layout.read(root, columns), None
        except TablesError as caught:
            manifest, error = caught.manifest, caught
        named = self._renamed(manifest, labels)
        resolved, undecided = self._resolved(named)
        if error is None and undecided is None:
            return resolved, None
        errors = [*(error.errors if error else ()), *([undecided] if undecided else ())]
        unknown = {*(error.unknown if error else ()), *(["labels"] if undecided else ())}
        return resolved, TablesError(errors, resolved, unknown)

    def read_whole(self, layout: DatasetLayout, root: Path, labels: Sequence[str] | None) -> Manifest:
        """Read a data set's tables as :meth:`read` does; that anything is wrong with them is an error."""
        manifest, error = self.read(layout, root, labels)
        if error is not None:
            raise error
        return manifest

    def _columns(self, layout: DatasetLayout, root: Path, labels: Sequence[str] | None) -> Sequence[str] | None:
        """The label columns to read."""
        if not self.label_map:
            return labels
        if clash := sorted({*self.label_map.values()} & {*MANIFEST_COLUMNS}):
            raise ValueError(
                f"Expected findings in `data.label_map` with names that the table does not use itself but got {clash}. "
                "Map the columns to other names."
            )
        known = layout.label_columns(root)
        check_label_map(self.label_map, known, labels)
        if labels is None:
            return None
        sources = {label: column for column, label in self.label_map.items()}
        return [column for label in labels if (column := sources.get(label, label)) in known]

    def _renamed(self, manifest: Manifest, labels: Sequence[str] | None) -> Manifest:
        """The table with the findings of the model, in their order."""
        if not self.label_map:
            return manifest
        table = manifest.table.rename(columns=dict(self.label_map))
        known = [self.label_map.get(column, column) for column in manifest.labels]
        chosen = tuple(known if labels is None else labels)
        absent = [label for label in chosen if label not in known]
        boxes = manifest.boxes.assign(label=manifest.boxes["label"].replace(dict(self.label_map)))
        remark = f"findings that the files do not have, which are n/a in every result: {', '.join(absent)}"
        others = [column for column in table.columns if column not in known]
        return replace(
            manifest,
            table=table.assign(**dict.fromkeys(absent, np.nan))[[*others, *chosen]],
            labels=chosen,
            boxes=boxes[boxes["label"].isin(chosen)].reset_index(drop=True),
            remarks=(*manifest.remarks, *([remark] if absent else [])),
        )

    def _resolved(self, manifest: Manifest) -> tuple[Manifest, Exception | None]:
        """The table with targets 1, 0 and NaN, and the error about uncertain labels that nothing is said of."""
        counts = {label: int((manifest.table[label] == UNCERTAIN).sum()) for label in manifest.labels}
        counts = {label: count for label, count in counts.items() if count}
        if (error := self._unknown_findings(manifest.labels)) or not counts:
            return manifest, error
        meanings = {label: self._meaning(label) for label in counts}
        table = manifest.table.copy()
        for label, meaning in meanings.items():
            table[label] = table[label].replace(UNCERTAIN, _VALUES[meaning or "ignore"])
        if undecided := {label: count for label, count in counts.items() if meanings[label] is None}:
            return replace(manifest, table=table), _undecided_error(manifest, undecided)
        uncertain = {label: (count, str(meanings[label])) for label, count in counts.items()}
        return replace(manifest, table=table, uncertain=uncertain), None

    def _meaning(self, label: str) -> UncertainMeaning | None:
        return self.uncertain.get(label) if isinstance(self.uncertain, Mapping) else self.uncertain

    def _unknown_findings(self, labels: Sequence[str]) -> Exception | None:
        """The error about findings of ``uncertain`` that the model does not have."""
        named = self.uncertain if isinstance(self.uncertain, Mapping) else {}
        unknown = [label for label in named if label not in labels]
        if not unknown:
            return None
        hint = did_you_mean(unknown[0], labels) or f"They are {quoted_names(labels)}."
        return ValueError(f"Expected findings of the model in `data.uncertain` but got '{unknown[0]}'. {hint}")


def _undecided_error(manifest: Manifest, undecided: Mapping[str, int]) -> Exception:
    listed = ", ".join(f"{label} {count:,}" for label, count in undecided.items())
    return ValueError(
        f"Expected 0, 1 or nothing (unknown) in the label columns of {quoted_names(list(manifest.files))} but cells "
        f"hold -1 (uncertain): {listed}. Set 'data.uncertain=ignore' (they are unknown), zeros (absent) or ones "
        "(present), or one for each finding, such as 'data.uncertain={Edema: ones}'; evaluate.py has `uncertain`."
    )
