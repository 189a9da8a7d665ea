"""What a training came to: numbers, pictures and one page."""
