"""A patient's results as a PDF: `render_report(facts)` -> bytes.

No database, no network and no clock: the same facts give the same bytes.
"""

import io

from reportlab import rl_config
from reportlab.platypus import Flowable, Spacer

from worker.report.facts import (
    INCONCLUSIVE,
    NO_BRAIN_MRI,
    ModelFacts,
    PatientFacts,
    Picture,
    ReadingFacts,
    ReportFacts,
    ScanFacts,
)
from worker.report.fonts import register_fonts
from worker.report.layout import PageCanvas, ReportTemplate
from worker.report.pictures import max_side_for
from worker.report.scan import scan_block
from worker.report.summary import model_section, overview_section, patient_section, summary_section

__all__ = [
    "INCONCLUSIVE",
    "NO_BRAIN_MRI",
    "ModelFacts",
    "PatientFacts",
    "Picture",
    "ReadingFacts",
    "ReportFacts",
    "ScanFacts",
    "render_report",
]


def render_report(facts: ReportFacts) -> bytes:
    """Lay out and paint the report; A4, English, times in UTC.

    A picture that cannot be decoded becomes a labelled box. What a picture's callable raises is raised
    here: whether a store may be asked again is not the report's to decide.
    """
    register_fonts()
    rl_config.useA85 = 0  # binary streams: the text form that ReportLab prefers is a quarter larger
    out = io.BytesIO()
    template = ReportTemplate(out, facts.report_id, facts.generated_at)
    template.build(_story(facts), canvasmaker=PageCanvas)
    return out.getvalue()


def _story(facts: ReportFacts) -> list[Flowable]:
    total = len(facts.scans)
    max_side = max_side_for(total)
    blocks = (scan_block(n, total, scan, facts.model, max_side) for n, scan in enumerate(facts.scans, 1))
    return [
        *patient_section(facts.patient),
        *summary_section(facts.scans),
        *overview_section(facts.scans),
        Spacer(0, 12),
        *blocks,
        model_section(facts.model),
    ]
