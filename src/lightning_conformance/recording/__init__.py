"""One run of a subject, watched: the Recording, what makes it, and how nothing is left behind."""
