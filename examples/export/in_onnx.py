"""Says what a picture shows; needs onnxruntime and pillow.

Use: python in_onnx.py runs/first/export/onnx cat.png
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

folder, picture = map(Path, sys.argv[1:])
about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
_, height, width, _ = about["input"]["shape"]
image = Image.open(picture).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
pixels = np.asarray(image, np.float32)[None]  # (1, height, width, 3), 0 to 255
session = onnxruntime.InferenceSession(folder / "model.onnx")
probabilities = session.run(None, {"pixels": pixels})[0][0]
best = probabilities.argmax()
print(f"{about['class_names'][best]} {probabilities[best]:.2%}")
