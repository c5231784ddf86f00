"""The auditor's own program: keeps the last checkpoint of each watched log, demands proofs, cosigns. Needs no home."""
