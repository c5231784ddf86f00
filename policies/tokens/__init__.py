"""JWTs: an issuer's form, keys and claims, and whom they stand for."""
