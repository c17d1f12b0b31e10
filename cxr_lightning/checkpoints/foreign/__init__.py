"""Foreign weight files, one format a module, to the tensors of our networks."""
