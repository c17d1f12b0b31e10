"""The job of cxr phantom."""

import argparse
from dataclasses import fields

from cxr_lightning.phantom.build import build_phantom
from cxr_lightning.phantom.spec import PhantomSpec


def phantom(parsed: argparse.Namespace) -> int:
    """Make the synthetic set, and print its folder."""
    spec = PhantomSpec(**{field.name: getattr(parsed, field.name) for field in fields(PhantomSpec)})
    print(build_phantom(parsed.out, spec))
    return 0
