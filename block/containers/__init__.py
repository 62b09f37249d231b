"""How audio files are built: where their audio is, and whether all of it is there. Nothing is decoded here."""
