"""Long searches for faults: each has a command in bin/ and a short version among the tests."""
