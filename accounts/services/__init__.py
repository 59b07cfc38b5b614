"""What changes accounts: logging in, passkeys, one-time codes, recovery, and votes given with a passkey."""
