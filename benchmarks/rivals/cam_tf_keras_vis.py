"""Grad-CAM of tf-keras-vis, all images in one call."""

from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.scores import CategoricalScore

from evacli.models.logits import logits_model
from rivals.cam_images import LAYER, gate, images, keras_model


def main() -> None:
    pixels, classes = images()
    explainer = Gradcam(logits_model(keras_model()), clone=False)
    score, inputs = CategoricalScore(classes.tolist()), pixels.astype("float32")

    # Stretched to 0..1 by default, which hides what there is to compare.
    at_gate = gate(explainer(score, inputs, penultimate_layer=LAYER, expand_cam=False, normalize_cam=False))
    while True:
        explainer(score, inputs, penultimate_layer=LAYER, expand_cam=False)
        at_gate.step_done()


if __name__ == "__main__":
    main()
