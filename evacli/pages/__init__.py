"""Every HTML page: what they share, and a template for each."""
