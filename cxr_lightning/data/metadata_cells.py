"""Readers of cells that state a patient, an age, a sex or a split: what they mean, in whatever spelling.

Nothing is guessed: a text that none of the spellings fits is not read, and callers say so.
"""

import math
import re
import unicodedata

from cxr_lightning.imaging.view_positions import parse_view_position

MAX_AGE = 120
"""Years; a higher age is taken for an error of the file."""

_NULL_WORDS = frozenset(
    {
        *("", "-", "--", "?", ".", "nan", "-nan", "nan.0", "none", "null", "nul", "nil", "na", "n/a", "n.a.", "n.a"),
        *("<na>", "<null>", "(null)", "\\n", "nat", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "#n/a", "#na"),
        *("#n/a n/a", "#null!", "#ref!", "#value!", "#num!", "#name?", "#div/0!"),
        *("missing", "unknown", "undefined", "not available", "not recorded", "not applicable", "unspecified"),
    }
)
"""What programs and people write for nothing, in small letters: pandas, NumPy, R, databases and spreadsheets."""
_MAX_NULL_LETTERS = max(map(len, _NULL_WORDS))
_UNKNOWN_WORDS = frozenset({"u", "unk", "not known"})
_MAX_LETTERS = 64
"""Maximum length of a text that is compared with spellings: patterns take long for long texts."""
_NUMBER_ID = re.compile(r"([0-9]+)(?:[.,]0{0,2})?")
"""A number, also with a decimal point; three zeros after it would be those of thousands."""
_AGE = re.compile(
    r"(?:aged?[:=]? ?)?"
    r"(?:(?:>=?|≥|over|above) ?)?"
    r"0{0,3}([0-9]{1,3}(?:[.,][0-9]{1,6})?)"
    r" ?\+?(?:[- ]?(y|yrs?|years?|yo|y/o|y\.o\.?|mos?|mths?|months?|w|wks?|weeks?|d|days?)\.?)?"
    r"(?: ?(?:\+|plus|and over|and older|or over|or older|or more|and above|or above|of age|[- ]?old))?"
)
_DICOM_MONTHS = re.compile(r"([0-9]{3})m")
"""Months as DICOM writes them; ``58M`` is rather the age of a man."""
_PER_YEAR = {"y": 1.0, "m": 12.0, "w": 365.25 / 7, "d": 365.25}
_SEXES = {
    **dict.fromkeys(("m", "male", "man", "men", "boy", "masculine", "masculino", "männlich", "homme", "hombre"), "M"),
    **dict.fromkeys(
        ("f", "female", "woman", "women", "girl", "feminine", "femenino", "feminino", "weiblich", "femme", "mujer"), "F"
    ),
    **dict.fromkeys(("o", "other", "x", "d", "divers", "diverse", "nonbinary"), "O"),
}
_SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(
        ("val", "valid", "validate", "validation", "vali", "dev", "devel", "development", "tune", "tuning"), "val"
    ),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
    **dict.fromkeys(
        ("trainval", "trainvalid", "trainvalidation", "trainandval", "trainandvalidation", "trainingvalidation"),
        "train_val",
    ),
}


def is_null(text: str) -> bool:
    """Whether a text is a word for nothing, such as the ``nan`` that programs write for an empty cell.

    Example:
        >>> [is_null(text) for text in ("", " NaN", "N/A", "0", "Nancy")]
        [True, True, True, False, False]
    """
    text = text.strip()
    return len(text) <= _MAX_NULL_LETTERS and text.casefold() in _NULL_WORDS


def parse_patient(text: str) -> str:
    """The patient's name: of digits alone as an integer, else the trimmed text; empty for a word for nothing.

    Example:
        >>> parse_patient("001"), parse_patient("1.0"), parse_patient(" p01 "), parse_patient("None")
        ('1', '1', 'p01', '')
    """
    text = text.strip()
    if match := _NUMBER_ID.fullmatch(text):
        return match[1].lstrip("0") or "0"
    return "" if is_null(text) else unicodedata.normalize("NFC", text)


def parse_age(text: str) -> float:
    """Age in years; NaN if the text states no age or an impossible one, and the limit of one such as ``90+``.

    Example:
        >>> parse_age("058Y"), parse_age("58.0"), parse_age("006M"), parse_age("90+"), parse_age("414")
        (58.0, 58.0, 0.5, 90.0, nan)
    """
    if len(text) > _MAX_LETTERS:
        return math.nan
    words = " ".join(text.split()).casefold()
    if months := _DICOM_MONTHS.fullmatch(words):
        return int(months[1]) / 12
    match = _AGE.fullmatch(words)
    if not match:
        return math.nan
    years = float(match[1].replace(",", ".")) / _PER_YEAR[(match[2] or "y")[0]]
    return years if years <= MAX_AGE else math.nan


def parse_sex(text: str) -> str:
    """The sex: ``M``, ``F`` or ``O`` (other, as in DICOM); empty if the text states none of them.

    Example:
        >>> parse_sex("Female"), parse_sex("m."), parse_sex("58")
        ('F', 'M', '')
    """
    return _SEXES.get(text.strip().casefold().removesuffix("."), "")


def parse_split(text: str) -> str:
    """The split: ``train``, ``val``, ``test`` or ``train_val``; empty if the text states none of them.

    Example:
        >>> parse_split("VALIDATE"), parse_split("Training set"), parse_split("train-val"), parse_split("extra")
        ('val', 'train', 'train_val', '')
    """
    word = re.sub(r"[\s_+/&-]", "", text[:_MAX_LETTERS].casefold()).removesuffix("set").removesuffix("split")
    return _SPLITS.get(word, "") if len(text) <= _MAX_LETTERS else ""


def parse_view(text: str) -> str:
    """The view position: ``PA``, ``AP``, ``LATERAL``; another word is kept, in capitals, as its own view."""
    return parse_view_position(text) or text.strip().upper()


def says_unknown(text: str) -> bool:
    """Whether a text states that the value is not known, so that nothing is lost by reading none."""
    return is_null(text) or text.strip().casefold() in _UNKNOWN_WORDS
