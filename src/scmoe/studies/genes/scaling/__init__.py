"""How the loss of masked genes falls with the size of the network and the number of cells."""
