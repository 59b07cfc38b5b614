"""What people see: inbox, requests, ceremonies, vaults and nodes. Reads only; GET never changes anything."""
