"""Says what a picture shows; needs tensorflow and pillow.

Use: python in_tensorflow.py runs/first/export/savedmodel cat.png
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

folder, picture = map(Path, sys.argv[1:])
about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
_, height, width, _ = about["input"]["shape"]
image = Image.open(picture).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
pixels = np.asarray(image, np.float32)[None]  # (1, height, width, 3), 0 to 255
network = tf.saved_model.load(folder)
probabilities = network.serve(pixels).numpy()[0]
best = probabilities.argmax()
print(f"{about['class_names'][best]} {probabilities[best]:.2%}")
