"""What a training run is told; written into checkpoints and into the model's manifest."""

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class BatchMix:
    """How many pictures of each making are in a batch.

    Half of them show a tumour. Slices from the tumour stock and from the healthy stock occur with both
    labels, so that the look of a picture says little about its class.
    """

    tumour: int = 11  # as published, some with a healthy patch pasted elsewhere
    transplanted: int = 5  # a tumour, real or made, moved into a healthy slice
    healthy: int = 10  # as published, some with a healthy patch pasted in
    removed: int = 6  # a tumour slice whose tumour is replaced by healthy tissue

    @property
    def total(self) -> int:
        """Pictures in a batch."""
        return self.tumour + self.transplanted + self.healthy + self.removed


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything that decides the outcome, beside the data and the code."""

    size: int = 128  # px, the network's input
    canvas: int = 160  # px, where pictures are kept and composed before they are warped to `size`
    epochs: int = 31
    first_size: int = 96  # px, for the first part of the run: twice the steps in the same time
    first_share: float = 0.87  # of the epochs that run at `first_size`
    ramp_share: float = 0.5  # of the epochs over which the intensity changes grow to full strength
    first_strength: float = 0.35  # of the intensity changes in the first epoch
    last_strength: float = 0.85  # never all at once: too few pictures would still look like pictures
    steps: int = 94  # per epoch: about one picture of the training set each
    mix: BatchMix = BatchMix()
    late_mix: BatchMix = BatchMix(tumour=13, transplanted=4, healthy=11, removed=4)
    late_start: float = 0.36  # of the epochs, from which `late_mix` is used: pasted pictures teach where to
    # look, published ones what tumours look like
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    measure_every: int = 4  # epochs; measuring costs a quarter of an epoch
    warmup_epochs: float = 1.5
    ema_decay: float = 0.998
    smoothing: float = 0.02
    pixel_weight: float = 1.0
    picture_weight: float = 0.5
    type_weight: float = 0.3
    seed: int = 20260101

    start_sha256: str = ""  # of the checkpoint whose weights the run started from; empty: from the seed

    def size_in(self, epoch: int) -> int:
        """The pictures' side in px in this epoch, counted from 0 (progressive resizing)."""
        return self.first_size if epoch < round(self.first_share * self.epochs) else self.size

    def strength_in(self, epoch: int) -> float:
        """How many of the intensity changes happen in this epoch, 0..1: easy pictures first."""
        progress = min(1.0, epoch / max(1.0, self.ramp_share * self.epochs))
        return min(self.first_strength + (1.0 - self.first_strength) * progress, self.last_strength)

    def mix_in(self, epoch: int) -> BatchMix:
        """What batches are made of in this epoch."""
        return self.mix if epoch < round(self.late_start * self.epochs) else self.late_mix

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


# The second run starts from the first one's weights. Pasted, strongly changed pictures taught where to look;
# mostly published ones now teach how sure to be. It ends at the size that the product looks at.
SECOND_RUN = TrainingConfig(
    size=160,
    canvas=192,
    epochs=40,
    first_size=128,
    first_share=0.6,
    ramp_share=0.0,
    first_strength=0.55,
    last_strength=0.55,
    mix=BatchMix(tumour=13, transplanted=3, healthy=13, removed=3),
    late_mix=BatchMix(tumour=13, transplanted=3, healthy=13, removed=3),
    learning_rate=8e-4,
    measure_every=4,
    warmup_epochs=0.5,
    picture_weight=1.0,
)

# The last run leaves out slices whose tumour was replaced: what stays around one, such as swelling, must not
# be learned as healthy. What is published counts now, and how sharply the map follows the mask.
FINAL_RUN = replace(
    SECOND_RUN,
    epochs=10,
    first_share=0.0,
    mix=BatchMix(tumour=16, transplanted=2, healthy=14, removed=0),
    late_mix=BatchMix(tumour=16, transplanted=2, healthy=14, removed=0),
    learning_rate=6e-4,
    measure_every=2,
    pixel_weight=1.5,
)

RUNS = {"first": TrainingConfig(), "second": SECOND_RUN, "final": FINAL_RUN}
