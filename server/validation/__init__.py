"""Messages checked and turned into commands: pure functions that raise a Rejection naming the field, the value and the
mend."""
