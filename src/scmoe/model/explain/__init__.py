"""What a trained model can be asked about itself, as arrays."""
