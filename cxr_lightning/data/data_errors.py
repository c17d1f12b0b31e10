"""What is wrong with the data before a run, in one message with a remedy."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cxr_lightning.data.manifest import Manifest, preview
from cxr_lightning.data.selection import SelectedImages
from cxr_lightning.data.splits import unplaced_error
from cxr_lightning.data.table_problems import DataProblemsError, joined_error

DROP_LEAKED, SKIP_MISSING = "data.drop_leaked=true", "data.on_missing=skip"
SKIP_UNREADABLE, SKIP_FLAGGED = "data.on_bad_image=skip", "data.on_flag=skip"
"""Settings that leave images out."""


class PatientOverlapError(ValueError):
    """A patient's images, or one image under two names, are in more than one split."""


@dataclass(frozen=True)
class DataProblem:
    """Something that is wrong with the data.

    Attributes:
        found: What was found, as a clause.
        error: The error where nothing else is wrong, from the settings of the remedy as they are shown; these are empty
            where no setting helps.
        repair: What to do about the files, as a clause.
        skip: Settings that go on without the images in question.
        consequence: Whether it may follow from leaving images out.
    """

    found: str
    error: Callable[[str], Exception]
    repair: str
    skip: tuple[str, ...] = ()
    consequence: bool = False


@dataclass(frozen=True)
class Remedy:
    """What to do so that a run can go on.

    Attributes:
        settings: Settings to add.
        repairs: Whether missing and unreadable files must be there as well.
    """

    settings: tuple[str, ...]
    repairs: bool = False


def data_error(
    problems: Sequence[DataProblem], remedy: Remedy | None, table_errors: Sequence[Exception] = ()
) -> Exception:
    """The error about everything that is wrong with the data; where only one thing is, its own error.

    Args:
        problems: What is wrong with the images and their division.
        remedy: What to do about that; None if nothing is known to help.
        table_errors: What is wrong with the tables; at least one, if there are no problems.
    """
    if table_errors:
        settings = () if remedy is None or remedy.repairs or not problems else remedy.settings
        shown = " ".join(map(shlex.quote, settings))
        sentence = f"Correct the tables, then set {shown} to go on with the other images." if settings else ""
        return joined_error([*table_errors, *(problem.error("") for problem in problems)], sentence)
    if len(problems) == 1:
        return problems[0].error("" if remedy is None or remedy.repairs else quoted(remedy.settings))
    found = "; ".join(f"({number}) {problem.found}" for number, problem in enumerate(problems, start=1))
    error = DataProblemsError(f"Expected data that can be used but {found}. {_remedy_sentence(problems, remedy)}")
    error.errors = tuple(problem.error("") for problem in problems)
    return error


def _remedy_sentence(problems: Sequence[DataProblem], remedy: Remedy | None) -> str:
    causes = [problem for problem in problems if not problem.consequence] or problems
    repairs = ", ".join(problem.repair for problem in causes)
    if remedy is None:
        return f"{capitalized(repairs)}; leaving images out is no remedy here."
    settings = " ".join(map(shlex.quote, remedy.settings))
    if not remedy.repairs:
        return f"Set {settings} to go on without these images, or {repairs}."
    return f"{capitalized(repairs)}{f'; then set {settings}' if settings else ''}."


def quoted(settings: Sequence[str]) -> str:
    """Settings as a message shows them: to be copied to the command line."""
    return f"'{settings[0]}'" if len(settings) == 1 else " ".join(map(shlex.quote, settings))


def capitalized(text: str) -> str:
    """A text whose first letter is a capital."""
    return text[:1].upper() + text[1:]


def unplaced_problem(selected: SelectedImages, manifest: Manifest) -> DataProblem:
    """Images for which the files give no split.

    Args:
        selected: The selected images.
        manifest: The whole table.
    """
    names = selected.unplaced
    notes = f" ({'; '.join(manifest.split_notes)})" if manifest.split_notes else ""
    found = f"{len(names)} images are in no split (train, val, test or train_val): {preview(names)}{notes}"
    return DataProblem(
        found, lambda settings: unplaced_error(manifest, names, settings), "correct the split lists or column"
    )


def leak_problem(selected: SelectedImages) -> DataProblem:
    """Patients in more than one split."""
    count = len(selected.manifest.leaked)

    def error(settings: str) -> Exception:
        advice = "correct the files"
        if settings:
            drop = f"Set {settings} to drop their {count} images from the earlier split (train before val before test)"
            advice = f"{drop}, or {advice}"
        return PatientOverlapError(f"Expected no patient in two splits but {found}. {capitalized(advice)}.")

    found = describe_leak(selected)
    return DataProblem(found, error, "correct the split lists", (DROP_LEAKED,))


def describe_leak(selected: SelectedImages) -> str:
    """The number of patients in more than one split, and the first five."""
    patients = selected.leaked_patients
    return f"{len(patients)} patients have images in more than one split: {preview(patients)}"


def untrained_problem(manifest: Manifest, lacking: Mapping[str, str]) -> DataProblem:
    """No finding that a model could learn.

    Args:
        manifest: The images that remain.
        lacking: What the training images lack, by finding.
    """
    count = int((manifest.table["split"] == "train").sum())
    listed = preview([f"{label} ({reason})" for label, reason in lacking.items()])
    check = "check the label file, `data.labels`, `data.views` and the split"

    def error(settings: str) -> Exception:
        return ValueError(
            f"Expected a finding with positives and negatives among the {count} training images but none has both: "
            f"{listed}. {capitalized(check)}{f', or set {settings}' if settings else ''}."
        )

    found = f"no finding has positives and negatives among the {count} training images that remain"
    return DataProblem(found, error, check, consequence=True)


def empty_problem(
    manifest: Manifest,
    required: Sequence[str],
    empty: Sequence[str],
    excluded: Sequence[str],
    notes: Sequence[str] = (),
) -> DataProblem:
    """Splits without images.

    Args:
        manifest: The images that remain.
        required: Splits that must not be empty.
        empty: Those of them that are.
        excluded: Which images are left out, as clauses.
        notes: What is unusual in the files that state the split, as clauses.
    """
    count = len(manifest.table)
    check = "check the split lists, `data.views`, `data.val_fraction` and what is on disk"

    def error(settings: str) -> Exception:
        without = f" that remain ({'; '.join(excluded)})" if excluded else ""
        without += f": {'; '.join(notes)}" if notes else ""
        advice = f"unpack or replace these images, {check}" if excluded else check
        return ValueError(
            f"Expected images in each of {list(required)} but {list(empty)} got none of the {count} images{without}. "
            f"{capitalized(advice)}{f', or set {settings}' if settings else ''}."
        )

    return DataProblem(f"without these, no image is left for {', '.join(empty)}", error, check, consequence=True)
