"""The phantoms that the product ships.

Margins, sizes and tilts vary in both kinds alike, so that the framing gives nothing away.
"""

from samples.acquisition import Scanner
from samples.contrast import FLAT_T1, HEALTHY_T1, HEALTHY_T2, T1_WITH_AGENT
from samples.lesions import Lesion
from samples.levels import ABOVE_VENTRICLES, BASAL_GANGLIA, PITUITARY_CORONAL, VENTRICLE_BODIES
from samples.phantom import Phantom

SEED = 20240917

PHANTOMS = (
    Phantom(
        "phantom_01_no_tumor",
        1,
        "healthy, T1, axial through the basal ganglia",
        BASAL_GANGLIA,
        HEALTHY_T1,
        0.41,
        scanner=Scanner(noise=4.0),
        tilt=-0.02,
    ),
    Phantom(
        "phantom_02_no_tumor",
        2,
        "healthy, T1, axial above the ventricles",
        ABOVE_VENTRICLES,
        FLAT_T1,
        0.37,
        width=480,
        scanner=Scanner(gain=1.04),
        csf_gap_mm=1.5,
        sulcus_scale=1.3,
    ),
    Phantom(
        "phantom_03_no_tumor",
        3,
        "healthy, T2, axial through the basal ganglia",
        BASAL_GANGLIA,
        HEALTHY_T2,
        0.44,
        offset=(2.0, 3.0),
        tilt=0.04,
        scalp_mm=4.2,
        sulcus_scale=0.65,
    ),
    Phantom(
        "phantom_04_no_tumor",
        4,
        "healthy, T1, axial through the lateral ventricles",
        VENTRICLE_BODIES,
        FLAT_T1,
        0.47,
        scanner=Scanner(blur_px=0.8, gain=0.95),
        offset=(-3.0, -4.0),
        tilt=-0.06,
        ventricle_scale=0.9,
    ),
    Phantom(
        "phantom_05_ring_lesion",
        5,
        "glioma-like: bright ring, dark core, oedema; T1 with contrast agent, axial",
        VENTRICLE_BODIES,
        T1_WITH_AGENT,
        0.45,
        Lesion("ring", 30.0, -20.0, 16.5, 6.5),
        offset=(0.0, 4.0),
        tilt=0.08,
    ),
    Phantom(
        "phantom_06_meningioma",
        16,
        "meningioma-like: bright mass on the convexity; T1 with contrast agent, axial",
        BASAL_GANGLIA,
        T1_WITH_AGENT,
        0.405,
        Lesion("meningioma", -50.0, -16.0, 17.0, 8.0, stretch=1.15),
        width=480,
        tilt=-0.04,
    ),
    Phantom(
        "phantom_07_meningioma",
        7,
        "meningioma-like: bright mass on the falx; T1 with contrast agent, axial",
        ABOVE_VENTRICLES,
        T1_WITH_AGENT,
        0.46,
        Lesion("meningioma", 11.0, 12.0, 15.5, 6.0, lobing=0.09),
        offset=(2.0, -3.0),
        tilt=0.05,
    ),
    Phantom(
        "phantom_08_pituitary",
        8,
        "pituitary-like: bright mass in the sella; T1 with contrast agent, coronal",
        PITUITARY_CORONAL,
        T1_WITH_AGENT,
        0.43,
        Lesion("pituitary", 0.0, 26.0, 11.5, 4.0, stretch=1.1),
        offset=(0.0, -20.0),
    ),
)
