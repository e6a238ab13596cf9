"""The page of `scmoe.pl.report`."""
