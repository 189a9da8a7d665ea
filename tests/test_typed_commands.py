"""Every command that README, docs/ and examples/ show is run, page by page, as a reader would type it.

On little data that is made here, and with the replacements of `INSTEAD` and `SMALLER`: nothing is downloaded, and no
page needs a cluster.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cifar_files
import cv2
import keras
import numpy as np
import pytest
from evacli_processes import Ended, Evacli
from pages import TEXTS, commands, typed
from sklearn.datasets import load_digits
from tiny_data import TINY

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
INSTEAD = {
    "--weights imagenet": "--weights mobilenet_v2.weights.h5",  # which would be downloaded
    "--model resnet9": "--model resnet20",  # which takes a tenth of the time
    "--trials 20 --seeds 3": "--trials 3",
    "/content/drive/MyDrive/": "",  # the folder of a notebook service
    "find /archive ": "find holiday ",
}
TINY_RUN = "--data cifar-10-batches-py --model my_network.py:build --precision float32"
SMALLER = {  # what is added where a line does not say it, and goes on from no run or weights that say it
    "train": f"{TINY_RUN} --epochs 4",
    "sweep": f"{TINY_RUN} --epochs 4 --trials 3",
    "lr-find": f"{TINY_RUN} --effort quick",
}
ELSEWHERE = re.compile("srun|ssh")  # lines for other machines
EXTRA = re.compile(r"pip install 'evacli\[\w+\]'")

RunLine = Callable[[str, Path], Ended]

pytestmark = pytest.mark.long


def lines(page: Path) -> list[str]:
    """What is typed, in its order; the same line once."""
    return [line for line in dict.fromkeys(typed(page)) if not ELSEWHERE.search(line)]


def smaller(line: str) -> str:
    """The line with what is replaced and added; a run that the page has begun, or begins from, keeps its settings."""
    for said, instead in INSTEAD.items():
        line = line.replace(said, instead)
    name, words = list(commands(line))[-1]
    begun = {"--weights", "runs/digits"} & {*words} or re.search(r"--recipe runs/|sweeps/", line)
    more = "" if begun and name == "train" else SMALLER.get(name, "")
    for option, value in re.findall(r"(\S+) (\S+)", more):
        line += "" if option in words or (option == "--data" and "--dataset" in words) else f" {option} {value}"
    return line


@pytest.fixture(scope="module")
def run_line(evacli: Evacli, tmp_path_factory: pytest.TempPathFactory) -> RunLine:
    """Runs a line in a folder, with a cache of its own; what stands before a pipe is run by a shell."""
    cache, names = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("pipe") / "names"

    def run(line: str, folder: Path) -> Ended:
        before, _, _ = line.rpartition(" | ")
        names.write_bytes(subprocess.run(before, shell=True, cwd=folder, capture_output=True, check=True).stdout)
        ((name, words),) = commands(line)
        return evacli(name, *words, cwd=folder, stdin=names, environment={"EVACLI_CACHE": str(cache)})

    return run


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, run_line: RunLine) -> Path:
    """A folder with all that the pages take for granted: data, pictures, a network, and runs."""
    desk = tmp_path_factory.mktemp("desk")
    digits = load_digits()
    images = np.stack([cv2.resize(image, (32, 32)) for image in digits.images[:360].astype(np.float32)])  # (N, 32, 32)
    colours = np.repeat((images * 15.9).astype(np.uint8)[..., None], 3, axis=-1)
    wrong = np.random.default_rng(0).random(360) < 0.2  # so that there are mistakes in every class
    labels = np.where(wrong, (digits.target[:360] + 1) % 10, digits.target[:360])
    cifar_files.write(desk / "cifar-10-batches-py", cifar_files.cifar10(colours, labels.tolist(), CLASSES))

    def picture(path: Path, i: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(colours[i] // np.uint8([1, 2, 3]), (200, 160)))

    for folder in ("photos", "photos-by-night"):
        for i in np.flatnonzero(digits.target[:360] < 3)[:60]:
            picture(desk / folder / CLASSES[digits.target[i]] / f"{i}.jpg", i)
    for name in ("cat.jpg", "picture.jpg", "photos/1.jpg", "more/2.png", "holiday/3.jpg", "new-pictures/4.jpg"):
        picture(desk / name, 5)
    keras.applications.MobileNetV2(input_shape=(160, 160, 3), include_top=False, weights=None).save_weights(
        desk / "mobilenet_v2.weights.h5"
    )
    shutil.copy(Path(TINY.rpartition(":")[0]), desk / "my_network.py")
    with (desk / "my_network.py").open("a") as file:
        file.write("\n\nbuild = tiny\n")
    made = "evacli train --model my_network.py:build --precision float32 --epochs 2"
    for line in (
        f"{made} --data cifar-10-batches-py --run runs/first",
        f"{made} --data cifar-10-batches-py --run runs/fast",
        f"{made} --data cifar-10-batches-py --run runs/sgd --optimizer sgd",
        f"{made} --data cifar-10-batches-py --run runs/adam --optimizer adam",
        f"{made} --dataset digits --run runs/digits",
        "evacli train --weights mobilenet_v2.weights.h5 --data photos --epochs 1 --run runs/photos",
    ):
        done = run_line(line, desk)
        assert done.code == 0, f"{line}\n{done.err}"
    shutil.copytree(desk / "runs", desk / "experiments")
    return desk


@pytest.mark.parametrize(
    "page", [page for page in TEXTS if lines(page)], ids=lambda page: f"{page.parent.name}-{page.stem}"
)
def test_the_commands_of_a_page_do_what_they_say(page: Path, desk: Path, run_line: RunLine, tmp_path: Path) -> None:
    folder = shutil.copytree(desk, tmp_path / "desk")
    made: set[str] = set()
    for line in map(smaller, lines(page)):
        name, run = re.search(r"evacli (\S+).*?(?: --run (runs/\S+)|$)", line).groups("runs/default")
        if name in ("train", "lr-find") and run not in made:
            shutil.rmtree(folder / run, ignore_errors=True)  # what the page makes itself is not there before
            made.add(run)
        done = run_line(line, folder)
        lacks_an_extra = name == "export" and EXTRA.search(done.err)
        assert done.code == 0 or lacks_an_extra, f"{line}\n{done.out}\n{done.err}"
        assert "Traceback" not in done.err
    named = re.findall(r"(runs/[\w-]+)/([\w-]+[.][a-z]+)", page.read_text(encoding="utf-8"))
    assert [(run, file) for run, file in named if run in made and not (folder / run / file).exists()] == []
