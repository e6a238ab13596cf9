"""What explanations cost and say beside others."""
