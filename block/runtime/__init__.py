"""What a process owes its host: signals, secrets, memory limits, whole files, hashes."""
