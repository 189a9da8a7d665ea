"""What makes one CPU fast: layers with the same mathematics, on faster kernels."""
