"""Grad-CAM of 25 images: evacli's one pass against a notebook's loop, tf-keras-vis and pytorch-grad-cam.

    python benchmarks/gradcam.py [--data PATH | --dataset digits] [--rounds 9] [--steps 2]

All explain the same images and classes at the same layer, from pixels to heat maps; the three on Keras have the same
weights, and their maps are compared before they are timed.
"""

import argparse
import tempfile

import numpy as np
import real_images
from contest import AT_THEIR_BEST, Entry, Rival, compete, machine, started, table

OURS = "evacli, one pass"
KERAS = ("notebook, image by image", "tf-keras-vis, one call")
IMAGES = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_images.add_options(parser)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=2, help="how often the 25 images are explained in a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = ("--data", real_images.write(options, folder, IMAGES, IMAGES))
        entries = [
            Entry(OURS, "cam_evacli", data),
            Entry(KERAS[0], "cam_notebook", data, (OURS,), AT_THEIR_BEST),
            Entry(KERAS[1], "cam_tf_keras_vis", data, (OURS,), AT_THEIR_BEST),
            Entry("pytorch-grad-cam, one call", "cam_pytorch", data, (OURS,), AT_THEIR_BEST),
        ]
        with started(entries) as rivals:
            check(rivals)
            pairs = compete(rivals, options.rounds, options.steps)
    print(f"{machine()}; {options.rounds} rounds of {options.steps} times {IMAGES} images\n")
    print(table(pairs, IMAGES))


def check(rivals: dict[str, Rival]) -> None:
    expected = np.array(rivals[OURS].facts["maps"])
    for name in KERAS:
        if name in rivals and not np.allclose(rivals[name].facts["maps"], expected, atol=1e-3):
            raise SystemExit(f"{name} finds other maps.")


if __name__ == "__main__":
    main()
