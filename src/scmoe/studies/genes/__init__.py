"""What tokens, masks, depth and experts of the gene network are worth."""
