"""Compute that KeyGen costs each participant: whole ceremonies in this process, both curves, no network, no
storage.

    python -m benchmarks.keygen_compute [--runs N] [--groups 2-of-3,14-of-20]

A run's figure is its wall time divided by n: hello, deal, checks, statement, both signatures and the
certificate.
"""

import argparse

from benchmarks.ceremonies import key_gen, print_table

GROUPS = "2-of-3,3-of-5,5-of-9,14-of-20"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="ceremonies per group (default 7)")
    parser.add_argument("--groups", default=GROUPS, help=f"t-of-n list (default {GROUPS})")
    options = parser.parse_args()
    key_gen(2, 3)
    rows = []
    for group in options.groups.split(","):
        threshold, size = (int(part) for part in group.split("-of-"))
        rows.append((group, [key_gen(threshold, size).seconds for _ in range(options.runs)]))
    print_table(f"KeyGen compute per participant, milliseconds, {options.runs} runs", rows)


if __name__ == "__main__":
    main()
