"""Says what a picture shows; needs ai-edge-litert and pillow.

Use: python in_litert.py runs/first/export/litert cat.png
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

folder, picture = map(Path, sys.argv[1:])
about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
_, height, width, _ = about["input"]["shape"]
image = Image.open(picture).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
pixels = np.asarray(image, np.float32)[None]  # (1, height, width, 3), 0 to 255
runner = Interpreter(str(folder / "model.tflite")).get_signature_runner()
(probabilities,) = next(iter(runner(pixels=pixels).values()))
best = probabilities.argmax()
print(f"{about['class_names'][best]} {probabilities[best]:.2%}")
