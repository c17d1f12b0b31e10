"""General tools for files, values, processes and signals."""
