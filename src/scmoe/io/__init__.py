"""What lies between memory and disk: plain forms that every supported library can hold, and files written whole."""
