"""Edge Impulse: the REST client, and the project as a source of recordings and a sink for labels."""
