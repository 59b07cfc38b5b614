"""The first run: starts a whole Quorate on loopback, makes a key with it, and stays up to be played with."""
