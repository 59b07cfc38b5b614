"""Compute that a reshare costs each participant: whole ceremonies in this process, both curves, no network,
no storage.

    python -m benchmarks.reshare_compute [--runs N] [--groups 2-of-3,2-of-3/3-of-5]

`2-of-3` is a refresh; `2-of-3/3-of-5` goes from one group to the other, whose first members deal. A run's
figure is its wall time divided by the participants.
"""

import argparse

from benchmarks.ceremonies import key_gen, print_table, reshare

GROUPS = "2-of-3,3-of-5,5-of-9,14-of-20,2-of-3/3-of-5,3-of-5/2-of-3"


def sizes(group: str) -> tuple[int, int]:
    threshold, size = (int(part) for part in group.split("-of-"))
    return threshold, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="ceremonies per group (default 7)")
    parser.add_argument("--groups", default=GROUPS, help=f"list (default {GROUPS})")
    options = parser.parse_args()
    rows = []
    for group in options.groups.split(","):
        before, _, after = group.partition("/")
        base, target = key_gen(*sizes(before)), sizes(after or before)
        reshare(base, *target)
        rows.append((group, [reshare(base, *target).seconds for _ in range(options.runs)]))
    print_table(f"reshare compute per participant, milliseconds, {options.runs} runs", rows)


if __name__ == "__main__":
    main()
