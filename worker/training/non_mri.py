"""Pictures that are no brain MRI, to fit and to measure the input gate with.

Photographs come with scikit-image (its data folder; its Shepp-Logan phantom of a head is left out). All
others are drawn here: pages of text, screens, plots, noise, gradients, patterns, blank pictures, and crude
radiographs and body sections: ribs and lungs, limbs, hands, trunks.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

_SIDES = (180, 640)  # px
_NOT_USED = ("phantom.png", "logo.png", "multipage.tif", "multipage_rgb.tif")
_WORDS = "patient invoice total date report name slice page order thank you dear sir index summary of the and"

Drawer = Callable[[np.random.Generator], Image.Image]


def photographs() -> dict[str, Image.Image]:
    """The pictures in scikit-image's data folder by file name, mode "RGB" or "L"."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    found = {}
    for path in sorted([*folder.glob("*.png"), *folder.glob("*.jpg")]):
        if path.name not in _NOT_USED:
            image = Image.open(path)
            found[path.name] = image.convert("L" if image.mode in ("L", "1", "I;16") else "RGB")
    return found


def crops(photograph: Image.Image, count: int, rng: np.random.Generator) -> Iterator[Image.Image]:
    """Random parts of a photograph, turned and resized; half of them grey."""
    for _ in range(count):
        width, height = photograph.size
        share = rng.uniform(0.35, 1.0)
        wide, high = max(16, int(width * share)), max(16, int(height * share))
        left, top = rng.integers(0, width - wide + 1), rng.integers(0, height - high + 1)
        part = photograph.crop((int(left), int(top), int(left) + wide, int(top) + high))
        part = part.resize(_size(rng, wide / high), Image.Resampling.BILINEAR)
        part = part.rotate(90 * int(rng.integers(0, 4)), expand=True)
        yield part.convert("L") if rng.random() < 0.5 else part


def drawn(count: int, rng: np.random.Generator) -> dict[str, list[Image.Image]]:
    """Pictures of each family, by its name."""
    return {name: [draw(rng) for _ in range(count)] for name, draw in FAMILIES.items()}


def _size(rng: np.random.Generator, aspect: float = 0.0) -> tuple[int, int]:
    longest = int(rng.integers(*_SIDES))
    aspect = aspect or float(rng.uniform(0.6, 1.6))
    return (
        (longest, max(24, int(longest / aspect)))
        if aspect >= 1
        else (max(24, int(longest * aspect)), longest)
    )


def _blank(rng: np.random.Generator) -> Image.Image:
    return _noisy(Image.new("L", _size(rng), int(rng.integers(0, 256))), rng, rng.choice([0.0, 1.0, 3.0]))


def _noise(rng: np.random.Generator) -> Image.Image:
    width, height = _size(rng)
    coarse = int(rng.choice([1, 1, 2, 4, 8, 24]))
    shape = (height // coarse + 1, width // coarse + 1)
    values = rng.normal(128, rng.uniform(15, 70), shape) if rng.random() < 0.6 else rng.uniform(0, 255, shape)
    large = ndimage.zoom(values, coarse, order=int(rng.choice([0, 1, 3])))[:height, :width]
    return _picture(large)


def _gradient(rng: np.random.Generator) -> Image.Image:
    width, height = _size(rng)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    angle, centre = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1, 2)
    ramp = np.cos(angle) * x + np.sin(angle) * y
    ring = np.hypot(x - centre[0], y - centre[1])
    values = ramp if rng.random() < 0.5 else ring
    if rng.random() < 0.4:
        values = np.sin(values * rng.uniform(5, 80))
    return _noisy(_picture(255 * (values - values.min()) / max(float(np.ptp(values)), 1e-6)), rng, 2.0)


def _pattern(rng: np.random.Generator) -> Image.Image:
    width, height = _size(rng)
    y, x = np.mgrid[0:height, 0:width]
    step = int(rng.integers(3, 60))
    kind = rng.integers(0, 3)
    checks = (
        (x // step + y // step) % 2 if kind == 0 else (x // step) % 2 if kind == 1 else (x * y // step) % 2
    )
    code = rng.integers(0, 2, (height // step + 1, width // step + 1)).repeat(step, 0).repeat(step, 1)
    values = checks if rng.random() < 0.6 else code[:height, :width]
    low, high = sorted(rng.uniform(0, 255, 2))
    return _picture(low + (high - low + 20) * values)


def _text(rng: np.random.Generator) -> Image.Image:
    picture = Image.new("L", _size(rng, rng.uniform(0.6, 1.2)), int(rng.integers(215, 256)))
    ink, words = int(rng.integers(0, 90)), _WORDS.split()
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(int(rng.integers(9, 28)))
    line, margin = int(font.size * rng.uniform(1.2, 2.0)), int(rng.integers(5, 40))  # type: ignore[union-attr]
    for top in range(margin, picture.height - margin, line):
        if rng.random() < 0.12:
            continue
        chosen = " ".join(rng.choice(words, int(rng.integers(2, 14))))
        draw.text((margin, top), chosen, fill=ink, font=font)
    if rng.random() < 0.3:
        picture = Image.eval(picture, lambda value: 255 - value)
    return _noisy(picture.rotate(float(rng.normal(0, 2)), fillcolor=picture.getpixel((0, 0))), rng, 2.0)


def _screen(rng: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", _size(rng, rng.uniform(1.2, 1.9)), _colour(rng, 150))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for _ in range(int(rng.integers(6, 30))):
        left, top = rng.integers(0, picture.width), rng.integers(0, picture.height)
        box = (int(left), int(top), int(left + rng.integers(10, 260)), int(top + rng.integers(8, 120)))
        draw.rounded_rectangle(box, int(rng.integers(0, 9)), fill=_colour(rng, 0), outline=_colour(rng, 0))
        draw.text((box[0] + 4, box[1] + 3), str(rng.choice(_WORDS.split())), fill=_colour(rng, 0), font=font)
    return picture.convert("L") if rng.random() < 0.5 else picture


def _plot(rng: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", _size(rng, rng.uniform(0.9, 1.7)), "white")
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    draw.rectangle((width // 10, height // 10, width * 9 // 10, height * 9 // 10), outline="black")
    for _ in range(int(rng.integers(1, 5))):
        steps = rng.normal(0, 1, 60).cumsum()
        rows = height * (0.15 + 0.7 * (steps - steps.min()) / max(float(np.ptp(steps)), 1e-6))
        points = [(width * (0.1 + 0.8 * i / 59), float(row)) for i, row in enumerate(rows)]
        if rng.random() < 0.5:
            draw.line(points, fill=_colour(rng, 0), width=int(rng.integers(1, 5)))
        else:
            for x, y in points:
                draw.rectangle((x - 4, y, x + 4, height * 0.9), fill=_colour(rng, 0))
    return picture.convert("L") if rng.random() < 0.5 else picture


def _chest(rng: np.random.Generator) -> Image.Image:
    """Two dark lungs in a bright trunk, crossed by ribs, with spine and heart between them."""
    width, height = _size(rng, rng.uniform(0.8, 1.2))
    y, x = np.mgrid[0:height, 0:width].astype(float)
    x, y = x / width, y / height
    values = 150 + 60 * np.exp(-(((x - 0.5) / 0.07) ** 2))
    for side in (0.3, 0.7):
        lung = ((x - side) / rng.uniform(0.15, 0.19)) ** 2 + ((y - 0.5) / rng.uniform(0.33, 0.42)) ** 2
        values -= 105 / (1 + np.exp((lung - 1) * 9))
    waves = np.sin((y + rng.uniform(0.4, 1.2) * (x - 0.5) ** 2) * rng.uniform(45, 75))
    values += rng.uniform(8, 24) * np.clip(waves, 0, 1)
    heart = ((x - 0.56) / 0.14) ** 2 + ((y - 0.63) / 0.15) ** 2
    values += 80 / (1 + np.exp((heart - 1) * 7))
    values *= 1 - 0.8 / (1 + np.exp((0.08 - np.minimum(x, 1 - x)) * -rng.uniform(30, 90)))
    return _radiograph(values, rng)


def _limb(rng: np.random.Generator) -> Image.Image:
    """One or two long bones in soft tissue, sometimes with a joint."""
    width, height = _size(rng, rng.uniform(0.4, 1.1))
    y, x = np.mgrid[0:height, 0:width].astype(float)
    x, y = x / width - 0.5, y / height
    bend = rng.uniform(-0.3, 0.3) * (y - 0.5) ** 2
    values = 20 + 70 / (1 + np.exp((np.abs(x - bend) - rng.uniform(0.25, 0.42)) * 60))
    joint = rng.uniform(0.3, 0.7)
    for shift in rng.uniform(-0.14, 0.14, int(rng.integers(1, 3))):
        thick = rng.uniform(0.05, 0.1) * (1 + 1.4 * np.exp(-(((y - joint) / 0.09) ** 2)))
        inside = thick - np.abs(x - bend - shift)
        values += 110 / (1 + np.exp(-inside * 90)) - 45 / (1 + np.exp((0.035 - inside) * 120))
    values -= 60 * np.exp(-(((y - joint) / 0.012) ** 2))
    return _radiograph(values, rng)


def _hand(rng: np.random.Generator) -> Image.Image:
    picture = Image.new("L", (400, 480), int(rng.integers(0, 40)))
    draw = ImageDraw.Draw(picture)
    wrist = np.array([200.0, 430.0])
    for angle in np.linspace(-0.75, 0.65, 5) + rng.normal(0, 0.06, 5):
        start, reach = wrist.copy(), float(rng.uniform(0.8, 1.1))
        for length in (130 * reach, 75 * reach, 50 * reach, 35 * reach):
            end = start + length * np.array([np.sin(angle), -np.cos(angle)])
            draw.line((*start, *end), fill=90, width=46)
            start = end + 6 * np.array([np.sin(angle), -np.cos(angle)])
        start = wrist.copy()
        for length in (130 * reach, 75 * reach, 50 * reach, 35 * reach):
            end = start + (length - 7) * np.array([np.sin(angle), -np.cos(angle)])
            draw.line((*start, *end), fill=int(rng.integers(170, 240)), width=17)
            start = end + 12 * np.array([np.sin(angle), -np.cos(angle)])
    return _radiograph(np.asarray(picture.rotate(float(rng.uniform(-40, 40))), float), rng)


def _trunk(rng: np.random.Generator) -> Image.Image:
    """A cross-section of a trunk: wide ellipse, fat, organs, a spine at the back."""
    width, height = _size(rng, rng.uniform(1.25, 1.8))
    y, x = np.mgrid[0:height, 0:width].astype(float)
    x, y = x / width - 0.5, y / height - 0.5
    body = (x / 0.45) ** 2 + (y / 0.43) ** 2
    values = np.where(body < 1, rng.uniform(110, 190), 5.0)
    values = np.where(body < rng.uniform(0.6, 0.85), rng.uniform(60, 130), values)
    for _ in range(int(rng.integers(5, 12))):
        cx, cy = rng.uniform(-0.27, 0.27), rng.uniform(-0.22, 0.2)
        a, b, turn = rng.uniform(0.03, 0.17), rng.uniform(0.03, 0.14), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        values = np.where((u / a) ** 2 + (v / b) ** 2 < 1, rng.uniform(20, 230), values)
    spine = (x / 0.05) ** 2 + ((y - 0.24) / 0.07) ** 2
    values = np.where(spine < 1, 210, values)
    values = np.where((x / 0.018) ** 2 + ((y - 0.3) / 0.025) ** 2 < 1, 60, values)
    return _radiograph(values, rng)


def _radiograph(values: npt.NDArray[np.floating], rng: np.random.Generator) -> Image.Image:
    mottle = ndimage.zoom(rng.normal(0, rng.uniform(2, 14), (24, 24)), np.array(values.shape) / 24, order=1)
    if rng.random() < 0.2:
        values = 255 - values
    soft = ndimage.gaussian_filter(values + mottle, rng.uniform(0.6, 3))
    return _noisy(_picture(soft), rng, rng.uniform(1, 7))


def _noisy(picture: Image.Image, rng: np.random.Generator, sigma: float) -> Image.Image:
    values = np.asarray(picture, float)
    return _picture(values + rng.normal(0, max(sigma, 1e-3), values.shape))


def _picture(values: npt.NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _colour(rng: np.random.Generator, least: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(least, 256, 3))
    return red, green, blue


FAMILIES: dict[str, Drawer] = {
    "blank": _blank,
    "noise": _noise,
    "gradient": _gradient,
    "pattern": _pattern,
    "text": _text,
    "screen": _screen,
    "plot": _plot,
    "chest": _chest,
    "limb": _limb,
    "hand": _hand,
    "trunk": _trunk,
}
