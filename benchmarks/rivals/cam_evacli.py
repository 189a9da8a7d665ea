"""evacli's Grad-CAM: all images in one batched pass."""

from functools import partial

from evacli.explaining.heatmap import grad_cam
from rivals.cam_images import LAYER, gate, images, keras_model


def main() -> None:
    pixels, classes = images()
    explain = partial(grad_cam, keras_model(), pixels, classes, LAYER)
    at_gate = gate(explain())
    while True:
        explain()
        at_gate.step_done()


if __name__ == "__main__":
    main()
