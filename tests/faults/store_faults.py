"""Stores of pictures and PDFs that fill up, fail, or answer wrongly."""

import time
from collections.abc import Callable

from redis import Redis
from redis.exceptions import ResponseError

from tests.faults.moods import Mood, in_mood
from tests.faults.scene import Fault, Place, Scene
from tests.faults.small_disk import full, lacks_small_disks
from tests.servers.loopback import LoopbackServer


def break_the_image_folder(scene: Scene) -> None:
    """Neither uploads nor pictures can be written: a plain file stands where the folder was."""
    scene.wait_for_work(0.1)
    for name in ("original", "heatmap"):
        folder = scene.system.settings.image_folder / name
        aside = folder.with_name(f"{name}.aside")
        folder.rename(aside)
        folder.touch()
        time.sleep(1.5)
        folder.unlink()
        aside.rename(folder)


def fill_the_image_disk(scene: Scene) -> None:
    """Uploads are refused in the documented way, not as a mistake of the program."""
    with full(scene.system.settings.image_folder):
        scene.last(6)
    answers = scene.driver.answers
    scene.demand(answers["503"] > 0, "no upload was refused with 503 while the disk was full")
    scene.demand(answers["500"] == 0, "uploads were answered with 500 while the disk was full")


def fill_the_disk_of_redis(scene: Scene) -> None:
    """Its log of what it was told cannot grow: Redis takes nothing more."""
    scene.wait_for_work(0.1)
    with full(scene.system.redis.folder), Redis.from_url(scene.system.redis.url) as redis:
        scene.last(6)
        scene.demand(_is_refusing(redis), "Redis took more while its disk was full")


def _is_refusing(redis: Redis) -> bool:
    try:
        redis.set("anything", "more")
    except ResponseError:
        return True
    return False


SMALL_DISK_FAULTS = (
    Fault(
        "fill the image disk",
        fill_the_image_disk,
        place=Place.SMALL_DISK,
        lacks=lacks_small_disks,
    ),
    Fault("fill the disk of Redis", fill_the_disk_of_redis, place=Place.SMALL_DISK, lacks=lacks_small_disks),
)


def faults_of_store(mood: Mood) -> tuple[Fault, Fault]:
    """Both stores in this mood, one at a time."""
    return (
        Fault(f"Cloudinary {mood.name}", _misbehave(_cloudinary, mood), place=Place.OUTSIDE),
        Fault(f"S3 {mood.name}", _misbehave(_s3, mood), place=Place.OUTSIDE),
    )


def _misbehave(server_of: Callable[[Scene], LoopbackServer], mood: Mood) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        with in_mood(server_of(scene), mood) as struck:
            scene.last(8)
        scene.demand(struck() > 0, "no request met the fault")

    return act


def _cloudinary(scene: Scene) -> LoopbackServer:
    assert scene.system.outside is not None
    return scene.system.outside.cloudinary


def _s3(scene: Scene) -> LoopbackServer:
    assert scene.system.outside is not None
    return scene.system.outside.s3
