"""View positions of radiographs by the words that files use for them."""


def parse_view_position(text: str) -> str:
    """The view position: ``PA``, ``AP`` or ``LATERAL``; empty if the text states none of them."""
    word = text.strip().upper()
    if word in ("PA", "AP"):
        return word
    return "LATERAL" if word in ("L", "LL", "RL", "LAT", "LATERAL") else ""
