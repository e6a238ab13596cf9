"""How experts and their routers start."""
