"""What comes out: records, tables, plots."""
