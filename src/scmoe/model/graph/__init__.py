"""The neighbor graph of the embedding, and what scanpy makes of it: clusters, a map, an AnnData."""
