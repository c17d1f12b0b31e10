"""Weight files in foreign formats, a module for each format, converted to tensors with torchvision's names."""
