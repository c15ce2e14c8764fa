"""What the notebooks use and the package does not: figures, sliders."""
