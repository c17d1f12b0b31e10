"""Reports of an evaluation: sentences, tables, figures and one HTML file. Nothing is computed here."""
