"""What watches a run: each instrument sees one kind of thing and writes it on the tape."""
