"""Speed and memory beside baselines of the same run."""
