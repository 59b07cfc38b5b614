"""python -m signers: the signer node's command line."""

from signers.cli import main

if __name__ == "__main__":
    main(prog_name="signers")
