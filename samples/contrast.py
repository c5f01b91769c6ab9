"""Grey levels of the tissues in each kind of MRI sequence, 0 (black) to 255 (white)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contrast:
    """One sequence. `enhancement` is what took up contrast agent; `vessels` says whether blood shines."""

    fat: float
    skin: float
    muscle: float
    compact_bone: float
    marrow: float
    dura: float
    csf: float
    grey_matter: float
    deep_grey: float
    white_matter: float
    oedema: float
    necrosis: float
    enhancement: float
    vessels: bool


HEALTHY_T1 = Contrast(
    fat=222.0,
    skin=120.0,
    muscle=96.0,
    compact_bone=16.0,
    marrow=96.0,
    dura=58.0,
    csf=26.0,
    grey_matter=112.0,
    deep_grey=126.0,
    white_matter=176.0,
    oedema=90.0,
    necrosis=40.0,
    enhancement=190.0,
    vessels=False,
)

FLAT_T1 = Contrast(
    fat=236.0,
    skin=120.0,
    muscle=90.0,
    compact_bone=10.0,
    marrow=70.0,
    dura=50.0,
    csf=22.0,
    grey_matter=92.0,
    deep_grey=99.0,
    white_matter=121.0,
    oedema=70.0,
    necrosis=40.0,
    enhancement=190.0,
    vessels=False,
)

HEALTHY_T2 = Contrast(
    fat=150.0,
    skin=90.0,
    muscle=44.0,
    compact_bone=8.0,
    marrow=76.0,
    dura=30.0,
    csf=226.0,
    grey_matter=122.0,
    deep_grey=98.0,
    white_matter=82.0,
    oedema=170.0,
    necrosis=200.0,
    enhancement=140.0,
    vessels=False,
)

T1_WITH_AGENT = Contrast(
    fat=196.0,
    skin=96.0,
    muscle=72.0,
    compact_bone=9.0,
    marrow=60.0,
    dura=92.0,
    csf=19.0,
    grey_matter=70.0,
    deep_grey=76.0,
    white_matter=88.0,
    oedema=54.0,
    necrosis=40.0,
    enhancement=208.0,
    vessels=True,
)
