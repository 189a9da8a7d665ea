"""The four commands as four calls, as they would stand in a notebook; on real digits, without a network connection."""

import evacli

RUN = "runs/notebook"

found = evacli.lr_find(RUN, dataset="digits", batch_size=32)
print(f"Learning rate from the range test: {found.lr:.3g}")

summary = evacli.train(RUN, epochs=5)
print(f"Top accuracy: {summary.top_accuracy:.2%} in epoch {summary.top_epoch}")

pictures = evacli.gradcam(RUN, n=9)
print(f"Grad-CAM of layer {pictures.layer}: {RUN}/gradcam.png")

page = evacli.report(RUN)
print(f"Everything on one page: {RUN}/report.html")
