"""`XTRIMOGENE` and its parts."""
