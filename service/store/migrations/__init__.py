"""The history of the tables, one file per step in `versions/`, forward only.

A new step is a file `r0002_what_it_does.py` with `revision = "0002"`,
`down_revision = "0001"` and `upgrade()`. Released steps are never edited, and a
step may only make changes that the version before it survives, so that several
gateways can be updated one after another. A test compares the outcome with
`tables.py` on both databases. There is no way back: a downgrade would delete
flags; restore a backup instead.
"""
