"""Which records may be compared, and what `bench compare`, `spread` and `plan` say of them."""
