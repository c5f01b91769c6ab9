"""Where things lie in the slices that we can draw: plain tables, in mm from the centre of the head.

x grows to the right of the picture, y downwards (in axial slices towards the back). Paired things are given
for the right half of the picture and mirrored.
"""

from dataclasses import dataclass

from samples.fields import Ellipse, Stroke


@dataclass(frozen=True, slots=True)
class Level:
    """One slice position. Strokes are (x, y, half width) rows."""

    half_width: float
    half_length: float
    squareness: float  # exponent of the superellipse, 2 is an ellipse
    brow_narrowing: float  # how much narrower the front is than the back, as a fraction
    core: tuple[Ellipse, ...]  # no sulcus enters here
    fissure: tuple[tuple[float, float], ...]  # spans of y where the halves are apart
    ventricles: tuple[Stroke, ...] = ()
    midline_csf: tuple[Stroke, ...] = ()
    clefts: tuple[Stroke, ...] = ()  # large sulci with a fixed course
    nuclei: tuple[Ellipse, ...] = ()  # deep grey matter
    pale_nuclei: tuple[Ellipse, ...] = ()  # with many fibres in them
    plexus: tuple[Stroke, ...] = ()
    profile: tuple[tuple[float, float], ...] = ()  # radius at degrees from the top, instead of an egg
    coronal: bool = False  # a slice from ear to ear: the top of the head is up, the face below
    temple_muscle: float = 0.0  # thickness in mm at its thickest


ABOVE_VENTRICLES = Level(
    half_width=62.0,
    half_length=78.0,
    squareness=2.15,
    brow_narrowing=0.05,
    core=(Ellipse(25.0, 2.0, 7.0, 34.0),),
    fissure=((-90.0, 90.0),),
    clefts=(((4.5, -50.0, 0.7), (9.0, -38.0, 0.7), (8.5, -22.0, 0.6)),),
)

VENTRICLE_BODIES = Level(
    half_width=66.0,
    half_length=84.0,
    squareness=2.2,
    brow_narrowing=0.07,
    core=(Ellipse(15.0, 2.0, 19.0, 40.0),),
    fissure=((-100.0, -39.0), (41.0, 100.0)),
    ventricles=(
        (
            (16.0, -34.0, 0.8),
            (11.0, -28.0, 3.2),
            (6.2, -17.0, 4.0),
            (5.0, -5.0, 3.3),
            (7.0, 7.0, 3.2),
            (13.0, 18.0, 4.0),
            (20.0, 28.0, 4.6),
            (23.0, 36.0, 2.4),
            (23.0, 41.0, 0.7),
        ),
    ),
    clefts=(((64.0, 4.0, 1.4), (52.0, 1.0, 1.0), (43.0, -2.0, 1.0), (40.0, 8.0, 0.7)),),
    nuclei=(Ellipse(14.5, -14.0, 3.2, 11.0, 0.25), Ellipse(15.5, 6.0, 3.6, 8.0, -0.45)),
    plexus=(((12.0, 16.0, 0.7), (18.0, 27.0, 1.4), (21.0, 33.0, 1.8)),),
    temple_muscle=2.0,
)

BASAL_GANGLIA = Level(
    half_width=66.0,
    half_length=85.0,
    squareness=2.25,
    brow_narrowing=0.09,
    core=(Ellipse(14.0, -4.0, 22.0, 34.0), Ellipse(20.0, 34.0, 15.0, 18.0)),
    fissure=((-100.0, -41.0), (30.0, 100.0)),
    ventricles=(
        ((3.2, -17.0, 1.4), (4.6, -24.0, 2.8), (9.0, -33.0, 3.2), (15.0, -39.0, 1.0)),
        ((18.0, 24.0, 1.0), (24.0, 32.0, 4.0), (26.5, 41.0, 4.2), (24.0, 52.0, 1.8), (21.0, 60.0, 0.5)),
    ),
    midline_csf=(
        ((0.0, -8.0, 1.0), (0.0, 2.0, 1.7), (0.0, 12.0, 1.3)),
        ((-7.0, 23.0, 0.8), (0.0, 20.5, 2.0), (7.0, 23.0, 0.8)),
    ),
    clefts=(
        ((64.0, -24.0, 2.2), (54.0, -20.0, 1.5), (44.0, -20.0, 1.3), (39.0, -26.0, 0.9), (36.0, -33.0, 0.5)),
        ((44.0, -20.0, 1.3), (41.5, -10.0, 0.9), (42.0, 2.0, 0.9), (46.0, 13.0, 1.0), (53.0, 20.0, 0.9)),
    ),
    nuclei=(
        Ellipse(11.0, -25.0, 4.6, 8.5, 0.35),
        Ellipse(11.5, 3.0, 8.5, 13.5, -0.35),
        Ellipse(27.0, -9.5, 4.6, 14.0, -0.2),
        Ellipse(34.8, -8.0, 0.8, 14.0, -0.1),
    ),
    pale_nuclei=(Ellipse(21.0, -6.5, 4.2, 8.5, -0.3),),
    plexus=(((22.0, 30.0, 0.8), (25.0, 35.0, 1.9), (26.0, 39.0, 1.5)),),
    temple_muscle=5.0,
)

PITUITARY_CORONAL = Level(
    half_width=67.0,
    half_length=62.0,
    squareness=2.0,
    brow_narrowing=0.0,
    profile=(
        (0.0, 62.0),
        (25.0, 64.0),
        (50.0, 67.0),
        (75.0, 67.5),
        (100.0, 66.5),
        (120.0, 65.5),
        (135.0, 62.5),
        (148.0, 51.0),
        (158.0, 39.0),
        (170.0, 32.0),
        (180.0, 30.0),
    ),
    core=(Ellipse(14.0, -6.0, 17.0, 17.0), Ellipse(10.0, 14.0, 13.0, 14.0)),
    fissure=((-90.0, -23.0),),
    ventricles=(((2.6, -9.0, 1.2), (5.0, -13.5, 3.0), (9.5, -18.0, 2.4), (14.5, -21.0, 0.6)),),
    midline_csf=(
        ((0.0, 1.0, 1.0), (0.0, 7.0, 1.5), (0.0, 12.0, 0.9)),
        ((-15.0, 20.0, 1.2), (-7.0, 19.0, 2.4), (0.0, 19.0, 2.8), (7.0, 19.0, 2.4), (15.0, 20.0, 1.2)),
        ((-11.0, 27.0, 2.2), (0.0, 27.0, 4.0), (11.0, 27.0, 2.2)),
    ),
    clefts=(
        ((66.0, 10.0, 2.4), (55.0, 7.0, 1.6), (45.0, 6.0, 1.4), (39.0, -2.0, 1.0), (37.0, -11.0, 0.6)),
        ((45.0, 6.0, 1.4), (40.0, 11.0, 1.0), (36.0, 15.0, 0.7)),
        ((3.0, -30.0, 0.6), (9.0, -30.5, 0.7), (14.0, -33.0, 0.4)),
    ),
    nuclei=(
        Ellipse(13.5, -12.0, 3.6, 6.0, 0.5),
        Ellipse(27.0, -2.0, 4.4, 10.0, 0.2),
        Ellipse(24.0, 27.0, 8.0, 6.0, 0.3),
        Ellipse(7.0, 8.0, 3.5, 6.0, 0.1),
    ),
    pale_nuclei=(Ellipse(20.5, 1.0, 3.4, 6.5, 0.35),),
    coronal=True,
)
