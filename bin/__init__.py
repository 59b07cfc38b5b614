"""The checkout's commands and what they share: standard library only, as nothing is installed yet."""
