"""The tables and figures of the scMoE paper."""
