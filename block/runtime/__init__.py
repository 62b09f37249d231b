"""Services for the whole process: signals, secrets, memory limits, atomic files, hashes."""
