"""The documentation: links lead somewhere, commands are valid, examples run, and generated pages are up to date."""
