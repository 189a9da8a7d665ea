"""Why the network errs: Grad-CAM of the images that it classified wrongly."""
