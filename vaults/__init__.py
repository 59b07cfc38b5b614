"""Organisations, members, API keys, nodes, vaults, groups and holders."""
