"""View positions in the spellings of headers and tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.imaging.view_positions import parse_view_position

SPELLINGS = {
    "PA": [
        *("PA", "pa", "P.A.", "p/a", "PA ERECT", "CHEST PA", "view: PA", "Thorax p.a.", "PA_1", "PA RLD", "P-A"),
        *("postero-anterior", "Posteroanterior", "POSTERIOR-ANTERIOR", "Posterior anterior", "FRONTAL PA"),
    ],
    "AP": [
        *("AP", " ap ", "A.P.", "a.-p.", "AP SUPINE", "AP_horizontal", "AP AXIAL", "PORTABLE AP", "TORAX AP", "AP LLD"),
        *("antero-posterior", "ANTEROPOSTERIOR", "Anterior posterior"),
    ],
    "LATERAL": [
        *("L", "LL", "RL", "LAT", "Lat.", "LATERAL", "LEFT LATERAL", "LAT ERECT", "XTABLE LATERAL", "Lateral (right)"),
        *("chest lateral", "L LAT", "Latéral", "profil"),
    ],
    "": [
        *(
            "",
            "nan",
            "FRONTAL",
            "COSTAL",
            "LLD",
            "RLD",
            "LEFT LATERAL DECUBITUS",
            "LAT DECUB",
            "RAO",
            "LPO",
            "PA OBLIQUE",
        ),
        *(
            "PA and lateral",
            "AP/PA",
            "Frontal/Lateral",
            "TORAX PA Y LATERAL",
            "bilateral",
            "anterior",
            "PAL",
            "L1",
            "R",
        ),
    ],
}


@pytest.mark.parametrize(("view", "text"), [(view, text) for view, texts in SPELLINGS.items() for text in texts])
def test_spellings_of_a_view(view: str, text: str) -> None:
    assert parse_view_position(text) == view


@given(
    st.sampled_from([(view, text) for view, texts in SPELLINGS.items() for text in texts]),
    st.sampled_from([str.upper, str.lower, str.title, lambda text: f" {text}\t", lambda text: f"({text})"]),
)
def test_case_and_surroundings_do_not_matter(spelling: tuple[str, str], change: object) -> None:
    view, text = spelling
    assert callable(change)
    assert parse_view_position(change(text)) == view


@given(st.text(max_size=30))
def test_any_text_is_a_view_or_none(text: str) -> None:
    assert parse_view_position(text) in ("PA", "AP", "LATERAL", "")
