"""Break the tie between a picture's look and its class: move tumours, remove tumours, paste decoys.

Tumours are transplanted into healthy slices, and tumours are replaced by healthy tissue, so that every kind
of background occurs with both labels (the idea of Dwibedi et al., Cut, Paste and Learn, ICCV 2017). Healthy
patches are pasted into all kinds of slices in the same way, so that a seam says nothing either.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch users expect
from torch import Tensor

from worker.training.blending import feather, grow, paste
from worker.training.data import Pictures
from worker.training.lesions import draw_lesions

_DEEP = 0.09  # of the canvas: a tumour's centre is put at least this far inside the head
_DECOY_SHARE = 0.3
_LEAST_CONTRAST = 0.11  # mean deviation of a transplanted tumour from its surroundings, of the grey range


@dataclass(frozen=True, slots=True)
class Patch:
    """One paste: whose shape, whose texture, and how both are placed. Thetas as `affine_grid` takes them."""

    shape: int  # picture whose mask is the shape; -1: no paste
    shape_theta: np.ndarray  # (2, 3)
    texture: int  # picture that the tissue is taken from
    texture_theta: np.ndarray  # (2, 3)
    gain: float  # how far beyond the shape the paste reaches
    contrast: float
    made: bool = False  # a drawn lesion takes the place of shape and texture


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture to make: a base, at most one paste, and what is then true of it."""

    base: int
    patch: Patch
    kind: str  # "tumour", "transplanted", "healthy", "removed"


@dataclass(frozen=True, slots=True)
class Composed:
    """A batch on the canvas, before warping and intensity changes; N x 1 x C x C, values 0..1."""

    pixels: Tensor
    tumour: Tensor  # share of each pixel that is tumour
    depth: Tensor  # distance to the outside of the head in pixels
    is_tumour: Tensor  # (N,) float
    has_map: Tensor  # (N,) float: 1 where `tumour` is known (a mask, or nowhere)
    types: Tensor  # (N,) int64 tumour type, -1 where it must not be learned


class Composer:
    """Makes samples of a set of pictures. Indices drawn by NumPy, pixels made by torch on `device`."""

    def __init__(self, pictures: Pictures, device: str = "cpu") -> None:
        self.pictures = pictures
        self.device = device
        tumour = pictures.is_tumour
        self.by_class = [np.flatnonzero(pictures.labels == label) for label in range(3)]
        self.masked = np.flatnonzero(tumour & pictures.has_mask)
        sources = np.array([record.source for record in pictures.records])
        healthy = np.flatnonzero(~tumour)
        self.healthy_by_source = [healthy[sources[healthy] == name] for name in sorted(set(sources[healthy]))]
        self._points = [_deep_points(depth) for depth in pictures.depths]
        self._centres = {int(i): _centre(pictures.masks[i]) for i in self.masked}
        self._mirrors = {int(i): _has_free_mirror(pictures, int(i)) for i in self.masked}

    def draw(self, kind: str, rng: np.random.Generator) -> Sample:
        """Choose at random what a sample of this kind is made from."""
        if kind == "tumour":
            base = int(rng.choice(self.by_class[rng.integers(3)]))
            decoy = self.pictures.has_mask[base] and rng.random() < _DECOY_SHARE
            return Sample(base, self._decoy(base, rng) if decoy else _nothing(), kind)
        if kind == "healthy":
            base = self._any_healthy(rng)
            decoy = rng.random() < _DECOY_SHARE + 0.1
            return Sample(base, self._decoy(base, rng) if decoy else _nothing(), kind)
        if kind == "transplanted":
            base = self._any_healthy(rng)
            return Sample(base, self.transplant(base, rng), kind)
        base = int(rng.choice(self.masked))
        return Sample(base, self.removal(base, rng), kind)

    def transplant(self, base: int, rng: np.random.Generator) -> Patch:
        """A random tumour, real or drawn, to a random place deep in the head of `base`."""
        donor = int(rng.choice(self.masked))
        theta = _place(self._point(base, rng), self._centres[donor], rng, scales=(0.75, 1.4))
        chance = rng.random()
        contrast = 1.0 if chance < 0.4 else rng.uniform(0.6, 1.8) if chance < 0.7 else -rng.uniform(0.6, 1.6)
        made = rng.random() < 0.25
        gain = rng.uniform(2.0, 5.0)
        return Patch(donor, theta, donor, theta, gain, 1.0 if made else contrast, made)

    def removal(self, base: int, rng: np.random.Generator) -> Patch:
        """Replace the tumour of `base` by its mirrored other side or by tissue of a healthy slice."""
        identity = np.eye(2, 3)
        if self._mirrors[base] and rng.random() < 0.6:
            # Tissue of the same place keeps its full texture.
            texture, theta, contrast = base, identity * np.array([[-1.0], [1.0]]), rng.uniform(0.7, 1.1)
        else:
            texture = self._any_healthy(rng)
            theta = _place(self._centres[base], self._point(texture, rng), rng, scales=(0.8, 1.3))
            contrast = rng.uniform(0.15, 0.6)  # strong structure of another place would look like a tumour
        return Patch(base, identity, texture, theta, rng.uniform(5.0, 10.0), contrast)

    def _decoy(self, base: int, rng: np.random.Generator) -> Patch:
        shape, texture = int(rng.choice(self.masked)), self._any_healthy(rng)
        point = self._point(base, rng)
        shape_theta = _place(point, self._centres[shape], rng, scales=(0.75, 1.4))
        texture_theta = _place(point, self._point(texture, rng), rng, scales=(0.8, 1.3))
        return Patch(shape, shape_theta, texture, texture_theta, rng.uniform(2.0, 8.0), rng.uniform(0.2, 0.8))

    def _any_healthy(self, rng: np.random.Generator) -> int:
        return int(rng.choice(self.healthy_by_source[rng.integers(len(self.healthy_by_source))]))

    def _point(self, index: int, rng: np.random.Generator) -> np.ndarray:
        points = self._points[index]
        return np.asarray(points[rng.integers(len(points))])

    def compose(self, samples: list[Sample], rng: np.random.Generator) -> Composed:
        """Make the samples' pixels and targets."""
        bases = [sample.base for sample in samples]
        patches = [sample.patch for sample in samples]
        pixels, own, depth = (
            self._gather(array, bases, scale)
            for array, scale in (
                (self.pictures.levelled, 255.0),
                (self.pictures.masks, 255.0),
                (self.pictures.depths, 1.0),
            )
        )
        keeps = self._flags(sample.kind == "tumour" for sample in samples)[:, None, None, None]
        moved = torch.zeros_like(own)
        pasted = [index for index, patch in enumerate(patches) if patch.shape >= 0]
        if pasted:
            chosen = torch.tensor(pasted, device=self.device)
            pixels[chosen], moved[chosen] = self._paste(
                [samples[index] for index in pasted],
                pixels[chosen],
                (own * keeps)[chosen],
                depth[chosen],
                rng,
            )
        return Composed(
            pixels=pixels,
            tumour=keeps * own + moved,
            depth=depth,
            is_tumour=self._flags(sample.kind in ("tumour", "transplanted") for sample in samples),
            has_map=self._flags(
                sample.kind != "tumour" or bool(self.pictures.has_mask[sample.base]) for sample in samples
            ),
            types=torch.tensor(
                [int(self.pictures.labels[s.base]) if s.kind == "tumour" else -1 for s in samples],
                device=self.device,
            ),
        )

    def _paste(
        self, samples: list[Sample], pixels: Tensor, own: Tensor, depth: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Pixels with their patches, and where a tumour has come to; `own` is a tumour to leave alone."""
        patches = [sample.patch for sample in samples]
        masks, pictures = self.pictures.masks, self.pictures.levelled
        shape = _warp(self._gather(masks, [p.shape for p in patches], 255.0), _thetas(patches, 0))
        texture = _warp(self._gather(pictures, [p.texture for p in patches], 255.0), _thetas(patches, 1))
        made = [index for index, patch in enumerate(patches) if patch.made]
        if made:
            shape[made], texture[made] = draw_lesions(shape[made], rng)
        inside = (depth / 3.0).clamp(max=1.0)
        coverage = feather(shape, self._floats([patch.gain for patch in patches]))
        coverage = coverage * F.avg_pool2d(inside, 2) * (1 - grow(F.max_pool2d(own, 2), 5))
        is_moved = self._flags(sample.kind == "transplanted" for sample in samples)
        contrast = self._floats([patch.contrast for patch in patches])
        blended = paste(pixels, texture, coverage, contrast, _LEAST_CONTRAST * is_moved)
        return blended, shape * inside * is_moved[:, None, None, None]

    def _gather(self, array: np.ndarray, indices: list[int], scale: float) -> Tensor:
        chosen = torch.from_numpy(array[indices]).to(self.device)
        return chosen[:, None].float() / scale

    def _flags(self, values: object) -> Tensor:
        return torch.tensor(list(values), dtype=torch.float32, device=self.device)  # type: ignore[call-overload]

    def _floats(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)


def _nothing() -> Patch:
    identity = np.eye(2, 3)
    return Patch(-1, identity, 0, identity, 1.0, 1.0)


def _place(
    target: np.ndarray, source: np.ndarray, rng: np.random.Generator, scales: tuple[float, float]
) -> np.ndarray:
    """Theta that brings `source` to `target` (points in -1..1) with any turn, a flip and a scale."""
    angle, scale = rng.uniform(0, 2 * math.pi), math.exp(rng.uniform(*np.log(scales)))
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    return np.hstack([matrix, (source - matrix @ target)[:, None]])


def _thetas(patches: list[Patch], which: int) -> Tensor:
    chosen = [patch.texture_theta if which else patch.shape_theta for patch in patches]
    return torch.from_numpy(np.stack(chosen)).float()


def _warp(pictures: Tensor, thetas: Tensor) -> Tensor:
    grid = F.affine_grid(thetas.to(pictures.device), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _deep_points(depth: np.ndarray) -> np.ndarray:
    """Up to 64 places (x, y in -1..1) well inside the head; its deepest place when it is thin."""
    side = depth.shape[0]
    limit = min(_DEEP * side, float(depth.max()) * 0.8)
    rows, columns = np.nonzero(depth >= max(limit, 1.0))
    if rows.size == 0:
        return np.zeros((1, 2))
    chosen = np.linspace(0, rows.size - 1, min(64, rows.size)).astype(int)
    return np.asarray((np.stack([columns[chosen], rows[chosen]], axis=1) + 0.5) / side * 2 - 1)


def _centre(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask > 127)
    return np.asarray((np.array([columns.mean(), rows.mean()]) + 0.5) / mask.shape[0] * 2 - 1)


def _has_free_mirror(pictures: Pictures, index: int) -> bool:
    """Whether the other side of the head, at the tumour's mirrored place, is free of it."""
    if pictures.records[index].plane not in ("axial", "coronal"):
        return False
    mask = pictures.masks[index] > 127
    return not (mask & mask[:, ::-1]).any()
