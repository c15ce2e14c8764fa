"""Reading and writing files: TIFF, what is damaged, and writing that is whole or not at all."""
